"""What commands for switching machines off and on are given: labs, or nodes of one lab."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from labgen.cli import complete, console
from labgen.errors import LabgenError, UsageError
from labgen.suggestions import near

Command = TypeVar("Command", bound=Callable[..., object])


def argument(command: Command) -> Command:
    """The arguments ``words`` and ``everything``, for :func:`chosen`."""
    words = click.argument("words", metavar="LAB [NODE]...", nargs=-1, shell_complete=complete.labs_and_nodes)
    return words(click.option("--all", "everything", is_flag=True, help="All labs of this user.")(command))


def chosen(words: Sequence[str], everything: bool) -> tuple[list[str], tuple[str, ...]]:
    """The labs, and the nodes if only some nodes of one lab are meant.

    Names after the first are nodes of that lab; if none of them is, they are labs.

    :raises UsageError: a name is neither.
    """
    from labgen.machines import homes
    from labgen.records import journals

    if bool(words) == everything:
        raise click.UsageError("specify a lab, or --all")
    if everything:
        return homes.labs(), ()
    lab, *others = dict.fromkeys(words)
    if not others:
        return [lab], ()
    journals.require_there(lab)
    nodes = [node.name for node in journals.load(lab).lab.nodes]
    labs = journals.names()
    if any(name in nodes for name in others) or not any(name in labs for name in others):
        unknown = [name for name in others if name not in nodes]
        if unknown:
            hint = near(unknown[0], nodes, "nodes")
            raise UsageError(f"the lab {lab!r} has no node named {unknown[0]!r}", hint)
        return [lab], tuple(others)
    for name in others:
        journals.require_there(name)
    return [lab, *others], ()


def on_each(labs: Sequence[str], act: Callable[[str], None]) -> None:
    """Works on one lab after the other; if one fails, on the others nevertheless.

    The exit code is then that of the failure.
    """
    if len(labs) == 1:
        act(labs[0])
        return
    failures = []
    for name in labs:
        try:
            act(name)
        except LabgenError as error:
            console.fail(error)
            failures.append(error.exit_code)
    if failures:
        raise click.exceptions.Exit(max(failures))
