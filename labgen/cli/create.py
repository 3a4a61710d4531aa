"""``labgen create`` and ``labgen render``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labgen.cli import console
from labgen.cli.profile import complete_profiles
from labgen.errors import LabgenError, UsageError
from labgen.refusals import explained

if TYPE_CHECKING:
    from labgen.machines.planning import Preview
    from labgen.model import Lab
    from labgen.profile import Loaded

profile_argument = click.argument("profile", metavar="PROFILE|FILE", shell_complete=complete_profiles)
name_option = click.option("--name", metavar="NAME", help="Name of the lab (default: the profile's name).")
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a field of the profile; can be repeated."
)


@click.command()
@profile_argument
@name_option
@set_option
@click.option(
    "--cold", is_flag=True, help="Boot the machines even if there is a template to start from, and save none."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and the generated files; change nothing.")
@click.option(
    "--on-failure",
    type=click.Choice(["keep", "rollback"]),
    default="keep",
    show_default=True,
    help="What to do with the lab if the create fails.",
)
def create(  # noqa: PLR0917 - click names them
    profile: str, name: str | None, overrides: tuple[str, ...], cold: bool, dry_run: bool, on_failure: str
) -> None:
    """Create a lab from a profile, boot it and form its cluster.

    Run it again to resume an interrupted create, or to check and repair an existing lab. The first create of a
    profile saves a template, and later ones take seconds ("labgen prune --cache" removes templates).

    \b
    Examples:
      labgen create three-node-btrfs
      labgen create three-node-btrfs --name second
      labgen create single-node --set resources.memory=2GiB
      labgen create ./my-lab.yaml --dry-run
    """
    loaded = _load(profile, overrides)
    from labgen.lab import create as recipe
    from labgen.profile.naming import lab_name

    lab_called = lab_name(name) if name else loaded.profile.name
    if dry_run:
        _print_preview(_previewed(loaded, lab_called))
        return
    with _way_on(lab_called, on_failure), console.progress() as shown:
        outcome = recipe.create(loaded, lab_called, shown, rollback=on_failure == "rollback", cold=cold)
    if not outcome.changed:
        click.echo(f"{lab_called} is up to date; nothing to do")
        return
    _print_lab(outcome.journal.lab)


@click.command()
@profile_argument
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@name_option
@set_option
def render(profile: str, directory: Path, name: str | None, overrides: tuple[str, ...]) -> None:
    """Write a lab's files to a directory.

    They form a Vagrant project that needs no labgen.

    \b
    Example:
      labgen render three-node-btrfs ./lab
    """
    loaded = _load(profile, overrides)
    from labgen.host import LOCAL
    from labgen.machines import planning
    from labgen.profile.naming import lab_name
    from labgen.render import write

    lab = _previewed(loaded, lab_name(name) if name else loaded.profile.name).lab
    target = directory.resolve()
    files = planning.files(loaded, lab, LOCAL.libvirt, target)
    if taken := [each for each in files if (target / each).exists()]:
        raise LabgenError(f"{target} is not empty", "\n".join(taken), "Choose another directory.")
    write(files, target)
    for each in files:
        click.echo(target / each)


def _load(profile: str, overrides: tuple[str, ...]) -> "Loaded":
    from labgen.profile import load

    loaded = load(profile, overrides)
    for warning in loaded.warnings:
        console.note(f"warning: {warning}")
    return loaded


def _previewed(loaded: "Loaded", name: str) -> "Preview":
    from labgen.machines.planning import preview

    found = preview(loaded, name)
    for each in found.notes:
        console.note(each)
    return found


@contextlib.contextmanager
def _way_on(name: str, on_failure: str) -> Iterator[None]:
    """After a failure, tells the user what exists now and what to do with it."""
    from labgen.records import journals

    try:
        yield
    except (LabgenError, OSError, KeyboardInterrupt) as failure:
        error = explained(failure) if isinstance(failure, OSError) else failure
        if isinstance(error, LabgenError):
            console.fail(error)
        if isinstance(error, UsageError | journals.BusyError):
            pass  # refused: the lab is as it was
        elif _is_kept(name):
            _say_how_to_resume(name)
        elif on_failure == "rollback" and not journals.exists(name):
            console.note("Everything it had created has been removed.")
        if isinstance(error, LabgenError):
            raise click.exceptions.Exit(error.exit_code) from failure
        raise


def _is_kept(name: str) -> bool:
    """Whether an incomplete lab exists that can be resumed; a lab that was complete has not changed."""
    from labgen.records import journals

    with contextlib.suppress(LabgenError, OSError):  # that error was already reported
        return not journals.load(name).complete
    return False


def _say_how_to_resume(name: str) -> None:
    from labgen.records import journals

    console.note(f"The lab {name} was kept. To resume the failed create: {journals.load(name).again}")
    console.note(f"Or remove it: labgen destroy {name}")


def _print_preview(preview: "Preview") -> None:
    lab = preview.lab
    click.echo(f"lab {lab.name}, profile {lab.profile}, box {lab.box.name} {lab.box.version}, {lab.accelerator}")
    click.echo(f"network {lab.network.subnet}, {lab.orchestrator}, Docker on {lab.storage_driver}\n")
    _print_nodes(lab)
    for path, text in preview.files.items():
        console.say(f"\n--- {path}", bold=True)
        click.echo(text, nl=False)


def _print_lab(lab: "Lab") -> None:
    nodes = console.counted(len(lab.nodes), "node")
    click.echo(f"{lab.name} is running: {nodes}, Docker on {lab.storage_driver}, {lab.orchestrator}\n")
    _print_nodes(lab)
    click.echo(f"\nEnter it:  labgen ssh {lab.name} {lab.nodes[0].name}")
    click.echo(f"Remove it: labgen destroy {lab.name}")


def _print_nodes(lab: "Lab") -> None:
    rows = [
        {
            "node": node.name,
            "role": node.role or node.kind,
            "address": node.address,
            "cpus": node.cpus,
            "memory": f"{node.memory_mib} MiB",
            "disk": f"{node.disk_gib} GiB",
            "docker": ", ".join(f"{disk.gib} GiB {lab.storage_driver}" for disk in node.disks),
        }
        for node in lab.nodes
    ]
    console.emit(rows, "table", list(rows[0]))
