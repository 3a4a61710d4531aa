"""``labgen report`` and ``graph``: what was tried in a lab, and what it looks like now, for others to read."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console
from labgen.errors import LabgenError, UsageError

if TYPE_CHECKING:
    from labgen.report.topology import Topology

STDOUT = Path("-")
FORMS = ("html", "md", "pdf")  # labgen.report.formats has them, too; help and completion do without loading it


@click.command()
@click.argument("lab", required=False, shell_complete=complete.reported)
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="File to write; -: stdout.")
@click.option("--format", "form", type=click.Choice(FORMS), help="Format; default: by the suffix of the file.")
@click.option("--title", default="", help="Title; default: the lab's name.")
@click.option("--author", default="", help="Who did the exercises.")
@click.option("--course", default="", help="What for.")
@click.option(
    "--notes", "about", metavar="FILE.md", type=click.Path(path_type=Path), help="Your own words, Markdown."
)
@click.option(
    "--destroyed",
    metavar="WHEN",
    default="",
    shell_complete=complete.moments,
    help="Of a destroyed lab, as --list shows it.",
)
@click.option("--list", "listed", is_flag=True, help="List the labs of which there are records.")
def report(  # noqa: PLR0917 - click passes them by name
    lab: str | None,
    output: Path | None,
    form: str | None,
    title: str,
    author: str,
    course: str,
    about: Path | None,
    destroyed: str,
    listed: bool,
) -> None:
    """Write a report of what was tried in a lab.

    It is made from the records of drills, deploys and rebalances: the topology, the versions on each node, each
    exercise with its steps, numbers and verdict, and best practices. It works after the lab was destroyed. The file
    loads nothing from elsewhere. A PDF needs Chromium or Chrome.

    In the notes, "## power-off" begins your text about the drill of that name; what is before it is the introduction.

    \b
    Examples:
      labgen report three-node-btrfs -o report.html
      labgen report three-node-btrfs -o report.pdf --author Ada --notes notes.md
      labgen report three-node-btrfs -o - --format md
      labgen report --list
    """
    from datetime import datetime

    from labgen.lab import report as recipe
    from labgen.report.content import Heading

    if listed:
        rows = [{**asdict(each), "destroyed": each.destroyed or None} for each in recipe.listed()]
        console.emit(rows, "table", ["lab", "destroyed", "records"])
        return
    if lab is None or output is None:
        raise click.UsageError("specify a lab and -o FILE, or --list")
    _refuse_bad_place(output)
    chosen = _form(output, form)
    today = datetime.now().astimezone().date().isoformat()
    heading = Heading(title or f"Report of {lab}", author, course, today)
    with console.progress() as shown:
        shown.step("printing the report with a browser" if chosen == "pdf" else "writing the report", stage="report")
        written = recipe.report(lab, chosen, heading, about=about, destroyed=destroyed)
    _write(output, written)
    if output != STDOUT:
        click.echo(f"wrote {output} ({len(written) / 2**20:.1f} MiB)")


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "mermaid", "dot", "json"]),
    default="svg",
    show_default=True,
    help="Output format.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="File to write; default: stdout."
)
def graph(lab: str, form: str, output: Path | None) -> None:
    """Draw a lab as it is now: nodes, tasks, ports, networks.

    Asks libvirt and a manager of the cluster. If no manager answers, only the machines are drawn.

    \b
    Examples:
      labgen graph three-node-btrfs -o lab.svg
      labgen graph three-node-btrfs --format mermaid
      labgen graph three-node-btrfs --format dot | dot -Tpng -o lab.png
      labgen graph three-node-btrfs --format json
    """
    from labgen.lab.graph import graph as recipe

    _refuse_bad_place(output or STDOUT)
    found = recipe(lab)
    if found.partial:
        console.note(f"only the machines are shown: {found.partial}")
    _write(output or STDOUT, _drawn(found, form).encode())


def _drawn(found: "Topology", form: str) -> str:
    from labgen.report import diagrams
    from labgen.report.pictures import files

    match form:
        case "mermaid":
            return diagrams.mermaid(found)
        case "dot":
            return diagrams.dot(found)
        case "json":
            return json.dumps(diagrams.as_json(found), indent=2) + "\n"
    return files.topology(found)


def _form(output: Path, form: str | None) -> str:
    """:raises click.UsageError: neither the option nor the file's name tells."""
    if form:
        return form
    if output == STDOUT:
        return FORMS[0]
    suffix = output.suffix.removeprefix(".").lower()
    if suffix not in FORMS:
        endings = ", ".join(f".{each}" for each in FORMS)
        raise click.UsageError(f"the file's name has to end with one of {endings}, or choose with --format: {output}")
    return suffix


def _refuse_bad_place(output: Path) -> None:
    """Before any work. :raises UsageError: it cannot be a file that is written."""
    if output == STDOUT:
        return
    if output.is_dir():
        raise UsageError(f"{output} is a directory", resolution=f"For example: -o {output / 'report.html'}")
    if not output.parent.is_dir():
        raise UsageError(f"there is no directory {output.parent}", resolution=f"First: mkdir -p {output.parent}")


def _write(output: Path, content: bytes) -> None:
    """A file that exists is replaced in one step, or kept. :raises LabgenError: it cannot be written."""
    from labgen.files import write_atomically

    if output == STDOUT:
        sys.stdout.buffer.write(content)
        return
    try:
        if output.exists() and not output.is_file():
            with output.open("wb") as device:  # or a pipe
                device.write(content)
        else:
            write_atomically(output.resolve(), content)  # what a link leads to, not the link
    except OSError as error:
        raise LabgenError(f"{output} cannot be written", error.strerror or str(error)) from error
