"""``labgen checkpoint``: the state of the whole lab at one moment, to return to."""

import click

from labgen.cli import complete, console
from labgen.cli.group import Group

lab_argument = click.argument("lab", shell_complete=complete.labs)
label_argument = click.argument("label", shell_complete=complete.checkpoints)


@click.group(cls=Group)
def checkpoint() -> None:
    """Save the state of a whole lab, and return to it.

    A checkpoint contains the disks and the memory of all machines at one moment.

    \b
    Examples:
      labgen checkpoint save three-node-btrfs before-upgrade
      labgen checkpoint restore three-node-btrfs before-upgrade
    """


@checkpoint.command()
@lab_argument
@click.argument("label", required=False)
def save(lab: str, label: str | None) -> None:
    """Save the current state of a lab.

    Its machines are paused for a few seconds. The default label is the current time.

    \b
    Examples:
      labgen checkpoint save three-node-btrfs
      labgen checkpoint save three-node-btrfs before-upgrade
    """
    from labgen.lab import checkpoint as recipe
    from labgen.records import checkpoints

    with console.progress() as shown:
        saved = recipe.save(lab, label or checkpoints.default_label(), shown)
    click.echo(f"saved checkpoint {saved.label} of {lab}")


@checkpoint.command()
@lab_argument
@label_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def restore(lab: str, label: str, yes: bool) -> None:
    """Return a lab to a checkpoint. Everything since then is lost.

    \b
    Examples:
      labgen checkpoint restore three-node-btrfs before-upgrade
      labgen checkpoint restore three-node-btrfs before-upgrade --yes
    """
    from labgen.lab import checkpoint as recipe
    from labgen.records import checkpoints, journals

    if not yes:
        journals.load(lab)
        checkpoints.load(lab, label)
        console.confirm(f"Discard everything that happened in {lab} since {label}?")
    with console.progress() as shown:
        recipe.restore(lab, label, shown)
    click.echo(f"{lab} is restored to {label}")


@checkpoint.command("list")
@lab_argument
@console.format_option
def list_checkpoints(lab: str, form: str) -> None:
    """List a lab's checkpoints, oldest first.

    \b
    Examples:
      labgen checkpoint list three-node-btrfs
      labgen checkpoint list three-node-btrfs --format json
    """
    from labgen.lab import checkpoint as recipe

    console.emit(recipe.listing(lab), form, ["label", "created", "running", "memory_bytes"])


@checkpoint.command()
@lab_argument
@label_argument
def delete(lab: str, label: str) -> None:
    """Delete a checkpoint; the lab itself does not change.

    \b
    Example:
      labgen checkpoint delete three-node-btrfs before-upgrade
    """
    from labgen.lab import checkpoint as recipe

    with console.progress() as shown:
        recipe.delete(lab, label, shown)
    click.echo(f"deleted checkpoint {label} of {lab}")
