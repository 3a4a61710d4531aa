"""Output for users: results on stdout, progress and notes on stderr."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

import click

from labgen.cli.history import History
from labgen.errors import Interrupted, LabgenError, UsageError
from labgen.progress import Listener, Progress

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format.",
)


def emit(rows: Sequence[Mapping[str, object]], form: str, columns: Sequence[str]) -> None:
    """Prints rows as a table or as JSON (a list of objects) on stdout.

    :param columns: the fields that the table shows, in order; JSON has all fields.
    """
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in [list(columns), *cells]) for index in range(len(columns))]
    for number, line in enumerate([[column.upper().replace("_", " ") for column in columns], *cells]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        say(text, bold=number == 0)


def say(text: str, *, err: bool = False, fg: str | None = None, bold: bool = False) -> None:
    """Prints a line in colour or bold, if the terminal supports it and the user allows it."""
    click.secho(text, err=err, fg=fg, bold=bold, color=False if plain() else None)


def plain() -> bool:
    """Whether only plain text may be printed, even on a terminal: see no-color.org."""
    return bool(os.environ.get("NO_COLOR")) or is_dumb()


def is_dumb() -> bool:
    """Whether the terminal does not support control sequences; one of unknown type is assumed not to."""
    return os.environ.get("TERM", "") in {"", "dumb", "unknown"}


def is_interactive() -> bool:
    """Whether a user can answer a question."""
    return sys.stdin.isatty()


def confirm(question: str) -> None:
    """Returns if the user agrees.

    :raises UsageError: there is no terminal to ask on. :raises click.exceptions.Exit: the answer was no.
    """
    if not is_interactive():
        raise UsageError(
            "cannot ask for confirmation: not on a terminal", question, "Run the same command again with --yes."
        )
    if not click.confirm(question, err=True):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(Interrupted.exit_code)


def counted(number: int, noun: str) -> str:
    """A number with its noun. :param noun: in the singular; its plural must end in -s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Escapes control characters, so that text from machines and untrusted files cannot control the terminal."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def note(text: str) -> None:
    """Prints a line on stderr that the user should see."""
    say(printable(text), err=True, fg="yellow")


def fail(error: LabgenError) -> None:
    """Prints the three parts of an error on stderr; if that cannot be written, the exit code has to suffice."""
    with contextlib.suppress(OSError):
        say(f"error: {printable(error.brief)}", err=True, fg="red")
        for line in error.details.splitlines():
            click.echo(f"  {printable(line)}", err=True)
        if error.resolution:
            click.echo(printable(error.resolution), err=True)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Shows live lines per node on a terminal that supports them, plain lines elsewhere; all on stderr.

    Events about labs are also recorded in the labs' histories.
    """
    keep = _keepers()
    if not sys.stderr.isatty() or is_dumb():
        from labgen.cli.plain import PlainProgress

        yield Progress(PlainProgress().hear, *keep)
        return
    from labgen.cli.live import LiveProgress  # rich takes a tenth of a second

    with LiveProgress() as live:
        yield Progress(live.hear, *keep)


def _keepers() -> list[Listener]:
    context = click.get_current_context(silent=True)
    history = context.find_object(History) if context else None
    if context is None or history is None:
        return []
    command = context.command_path.removeprefix(context.find_root().command_path)  # without "python -m labgen"
    return [history.recorder(command.strip()).hear]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
