"""What a user sees: results on stdout, progress and notes on stderr."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import click

from labgen.errors import LabgenError, UsageError
from labgen.progress import Progress

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)


def emit(rows: Sequence[Mapping[str, object]], form: str, columns: Sequence[str]) -> None:
    """Prints rows as a table or as JSON (a list of objects) on stdout.

    :param columns: which fields the table shows, in order; JSON has them all.
    """
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in [list(columns), *cells]) for index in range(len(columns))]
    for number, line in enumerate([[column.upper().replace("_", " ") for column in columns], *cells]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.secho(text, bold=number == 0)


def printable(text: str) -> str:
    """What machines and strangers' files say must not steer the terminal: control characters are written out."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def note(text: str) -> None:
    """A line on stderr that the user should see."""
    click.secho(printable(text), err=True, fg="yellow")


def fail(error: LabgenError) -> None:
    """The three parts of an error on stderr."""
    click.secho(f"error: {printable(error.brief)}", err=True, fg="red")
    for line in error.details.splitlines():
        click.echo(f"  {printable(line)}", err=True)
    if error.resolution:
        click.echo(printable(error.resolution), err=True)


def is_interactive() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, yes: bool) -> None:
    """Asks before something is lost.

    :param yes: the user has said so already. :raises UsageError: nobody is there to ask.
    """
    if yes:
        return
    if not is_interactive():
        raise UsageError(
            f"{question} There is no terminal to ask on", resolution="Say --yes to do it without a question."
        )
    click.confirm(question, abort=True, err=True)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Live lines per node on a terminal, plain lines elsewhere; all on stderr."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from labgen.cli.live import LiveProgress  # rich takes a tenth of a second

    with LiveProgress() as live:
        yield live


class PlainProgress:
    """A line for everything that happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def step(self, text: str, node: str | None = None) -> None:
        self._say(text, node)

    def done(self, text: str, node: str | None = None) -> None:
        self._say(text, node)

    def note(self, text: str) -> None:
        self._say(text, None)

    def _say(self, text: str, node: str | None) -> None:
        seconds = time.monotonic() - self._start
        with self._lock:
            click.echo(f"{seconds:6.1f}s  {f'{node}: ' if node else ''}{printable(text)}", err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
