"""``labgen stop`` and ``labgen start``."""

import click

from labgen.cli import complete, console

lab_argument = click.argument("lab", shell_complete=complete.labs)


@click.command()
@lab_argument
def stop(lab: str) -> None:
    """Shut a lab's machines down; everything in them stays.

    \b
    Example:
      labgen stop three-node-btrfs
    """
    from labgen.lab import power

    with console.progress() as shown:
        changed = power.stop(lab, shown)
    click.echo(f"{lab} is stopped" if changed else f"{lab} was stopped already")


@click.command()
@lab_argument
def start(lab: str) -> None:
    """Start a stopped lab and wait until its cluster is whole again.

    \b
    Example:
      labgen start three-node-btrfs
    """
    from labgen.lab import power

    with console.progress() as shown:
        outcome = power.start(lab, shown)
    click.echo(f"{lab} is running" if outcome.changed else f"{lab} is running as it should: nothing to do")
