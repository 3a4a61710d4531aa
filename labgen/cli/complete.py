"""Shell completion: the candidates, and the answer to the shell."""

import contextlib
import io
import sys
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from labgen import paths
from labgen.errors import LabgenError

VARIABLE = "_LABGEN_COMPLETE"  # set by the shell's completion function


def answer(command: click.Command) -> NoReturn:
    """Answers the shell with words or with nothing. Errors are never shown: the user is in the middle of a line."""
    with contextlib.suppress(Exception, KeyboardInterrupt), contextlib.redirect_stderr(io.StringIO()):
        command(complete_var=VARIABLE, standalone_mode=False)
    sys.exit(0)


def labs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    directory = paths.labs()
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return [name for name in names if name.startswith(incomplete)]


def reported(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The labs of which there may be records, also those that were destroyed."""
    from labgen.records import archive

    found = {*labs(ctx, param, incomplete), *archive.names()}
    return sorted(name for name in found if name.startswith(incomplete))


def moments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """When labs of the name given earlier on the line were destroyed."""
    from labgen.records import archive

    return [each.moment for each in archive.of(_lab(ctx)) if each.moment.startswith(incomplete)]


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The nodes of the lab given earlier on the line."""
    from labgen.records import journals

    return [node.name for node in journals.load(_lab(ctx)).lab.nodes if node.name.startswith(incomplete)]


def checkpoints(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The checkpoint labels of the lab given earlier on the line."""
    labels = sorted(path.stem for path in paths.checkpoints(_lab(ctx)).glob("*.json"))
    return [label for label in labels if label.startswith(incomplete)]


def labs_and_nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The labs; after one, its nodes first."""
    from labgen.records import journals

    given = ctx.params.get("words") or ()
    found = labs(ctx, param, incomplete)
    if given:
        with contextlib.suppress(LabgenError):
            names = [node.name for node in journals.load(given[0]).lab.nodes]
            return [name for name in [*names, *found] if name.startswith(incomplete) and name not in given]
    return found


def boxes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from labgen import boxes as store

    return [name for name in store.known() if name.startswith(incomplete)]


def images(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from labgen import images as recipes

    return [name for name in recipes.known() if name.startswith(incomplete)]


def images_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The images that labgen builds; if there is none of that name, the shell completes files."""
    found = [CompletionItem(name) for name in images(ctx, param, incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def stacks_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The stacks that come with labgen; if there is none of that name, the shell completes files."""
    from labgen import stacks

    found = [CompletionItem(each.name) for each in stacks.shipped() if each.name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def deployed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The stacks in the lab given earlier on the line."""
    from labgen.lab import stack

    names = {service.stack for service in stack.deployed(_lab(ctx)).services}
    return sorted(name for name in names if name and name.startswith(incomplete))


def services(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The services in the lab given earlier on the line."""
    from labgen.lab import stack

    names = [service.name for service in stack.deployed(_lab(ctx)).services]
    return [name for name in names if name.startswith(incomplete)]


def drills(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from labgen.drills import DRILLS

    return [name for name in DRILLS if name.startswith(incomplete)]


def box_versions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The built versions of the box given earlier on the line."""
    from labgen import boxes as store

    return [box.version for box in store.built(ctx.params["name"]) if box.version.startswith(incomplete)]


def _lab(ctx: click.Context) -> str:
    """The lab given earlier on the line.

    If an option still lacks its value, click has not parsed the arguments yet, and they are in ``ctx.args``.

    :raises IndexError: there is none.
    """
    return str(ctx.params.get("lab") or ctx.args[0])
