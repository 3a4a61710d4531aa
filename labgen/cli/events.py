"""``labgen events``"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console
from labgen.cli.plain import Amounts

if TYPE_CHECKING:
    from labgen.records.events import Entry

LONGEST = len("checkpoint restore")  # the longest name of a command that changes labs


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.option(
    "-f", "--follow", is_flag=True, help="Keep printing new events until Ctrl-C or until the lab is destroyed."
)
@console.format_option
def events(lab: str, follow: bool, form: str) -> None:
    """Show the history of a lab.

    Every command that changes a lab records its steps and its exit code there.

    --format json prints a list of objects; with --follow, one object per line.

    \b
    Examples:
      labgen events three-node-btrfs
      labgen events three-node-btrfs --follow
      labgen events three-node-btrfs --format json
      labgen events three-node-btrfs --format json --follow
    """
    from labgen.lab.events import history

    entries = history(lab, follow=follow)
    if form == "table":
        for line in _lines(entries):
            click.echo(line)
    elif follow:
        for entry in entries:
            click.echo(json.dumps(entry.to_json()))
    else:
        click.echo(json.dumps([entry.to_json() for entry in entries], indent=2))
    if follow:
        console.note(f"{lab} has been destroyed")


def _lines(entries: "Iterable[Entry]") -> Iterator[str]:
    amounts = Amounts()
    for entry in entries:
        if what := _what(entry, amounts):
            node = f"{entry.node}: " if entry.node else ""
            time = entry.time.isoformat(" ", "seconds")[:19]  # without the offset
            yield console.printable(f"{time}  {entry.command:<{LONGEST}}  {node}{what}")


def _what(entry: "Entry", amounts: Amounts) -> str:
    """An entry's text; empty if the entry is only for programs."""
    if entry.exit_code is not None:
        return f"ended with exit code {entry.exit_code}"
    if entry.state == "began" and not entry.stage:
        return f"started, labgen {entry.version}"
    return amounts.words(entry)
