"""``labgen stop``, ``start``, ``suspend`` and ``resume``."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console

if TYPE_CHECKING:
    from labgen.machines.bringup import Outcome

lab_argument = click.argument("lab", shell_complete=complete.labs)


@click.command()
@lab_argument
def stop(lab: str) -> None:
    """Shut down a lab's machines; nothing in them is lost.

    \b
    Example:
      labgen stop three-node-btrfs
    """
    from labgen.lab.stop import stop as recipe

    with console.progress() as shown:
        changed = recipe(lab, shown)
    click.echo(f"{lab} is stopped" if changed else f"{lab} is already stopped")


@click.command()
@lab_argument
def start(lab: str) -> None:
    """Start a stopped or suspended lab.

    Returns when its cluster is complete again.

    \b
    Example:
      labgen start three-node-btrfs
    """
    _start(lab)


@click.command()
@lab_argument
def suspend(lab: str) -> None:
    """Save the machines' memory to disk and power them off.

    All memory is saved at the same moment. "labgen resume" continues from there.

    \b
    Example:
      labgen suspend three-node-btrfs
    """
    from labgen.lab.suspend import suspend as recipe

    with console.progress() as shown:
        changed = recipe(lab, shown)
    click.echo(f"{lab} is suspended" if changed else f"{lab} is already off")


@click.command()
@lab_argument
def resume(lab: str) -> None:
    """Resume a suspended lab.

    Sets the clocks first. The same as "labgen start".

    \b
    Example:
      labgen resume three-node-btrfs
    """
    _start(lab)


def _start(lab: str) -> None:
    outcome = _started(lab)
    click.echo(f"{lab} is running" if outcome.changed else f"{lab} is up to date; nothing to do")


def _started(lab: str, *, new_cluster: bool = False) -> "Outcome":
    """Starts the lab; on a terminal, asks for the input that its cluster needs from the user."""
    from labgen.lab import start as recipe
    from labgen.orchestrators import ClusterGone, ClusterLocked

    try:
        with console.progress() as shown:
            return recipe.start(lab, shown, new_cluster=new_cluster)
    except ClusterLocked as error:
        if not console.is_interactive():
            raise
        console.fail(error)
        key = click.prompt("Unlock key (Ctrl-C leaves it locked)", hide_input=True, err=True)
        with console.progress() as shown:
            recipe.unlock(lab, key, shown)
        return replace(_started(lab), changed=True)
    except ClusterGone as error:
        if not console.is_interactive():
            raise
        console.fail(error)
        console.confirm("Form a new one, without the old one's contents?")
        return _started(lab, new_cluster=True)
