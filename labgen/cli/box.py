"""``labgen box``: list, build, remove."""

import click

from labgen.cli import complete
from labgen.cli.console import confirm, emit, format_option, progress
from labgen.cli.group import Group


@click.group(cls=Group)
def box() -> None:
    """List, build and remove the machines' disk images ("boxes").

    "labgen create" builds the box it needs automatically.
    """


@box.command("list")
@format_option
def list_boxes(form: str) -> None:
    """List all boxes and whether they are built on this host.

    A box is "outdated" when its recipe has changed since; the next "labgen create" builds it again.

    \b
    Examples:
      labgen box list
      labgen box list --format json
    """
    from labgen import boxes

    rows = [{**row, "size": _megabytes(row.get("size"))} if form == "table" else row for row in boxes.listing()]
    emit(rows, form, ["name", "version", "state", "debian", "docker", "kernel", "size"])


@box.command()
@click.argument("name", shell_complete=complete.boxes)
@format_option
def build(name: str, form: str) -> None:
    """Build a box from Debian's current packages.

    If they are the packages of an existing box, that box is kept.

    \b
    Examples:
      labgen box build debian13
      labgen box build debian12 --format json
    """
    from labgen import boxes

    with progress() as shown:
        built = boxes.build(name, shown)
        shown.done(f"box {name} {built.version} is ready")
    row = {"name": name, "version": built.version, "directory": str(built.directory)}
    emit([row], form, ["name", "version", "directory"])


@box.command()
@click.argument("name", shell_complete=complete.boxes)
@click.argument("version", required=False, shell_complete=complete.box_versions)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(name: str, version: str | None, yes: bool) -> None:
    """Remove a box, all versions or one, also from Vagrant's store.

    Existing labs keep working: libvirt has a copy, which "labgen prune" removes after the last of them.

    \b
    Examples:
      labgen box remove debian12
      labgen box remove debian13 13.4.2891034581 --yes
    """
    from labgen import boxes, vagrant

    chosen = boxes.choose(name, version)
    if not chosen:
        click.echo(f"{name} is not built", err=True)
        return
    if not yes:
        confirm(f"Remove {', '.join(f'{b.name} {b.version}' for b in chosen)}?")
    boxes.remove(chosen)
    vagrant.remove_box(chosen[0].vagrant_name)
    for gone in chosen:
        click.echo(f"removed {gone.name} {gone.version}")


def _megabytes(size: object) -> str | None:
    return f"{size / 2**20:.0f} MiB" if isinstance(size, int) else None
