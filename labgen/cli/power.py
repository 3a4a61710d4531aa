"""``labgen stop``, ``start``, ``restart``, ``kill``, ``suspend`` and ``resume``."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console, targets

if TYPE_CHECKING:
    from labgen.machines.bringup import Outcome
    from labgen.machines.power import Standing
    from labgen.progress import Progress

lab_argument = click.argument("lab", shell_complete=complete.labs)
force_option = click.option("--force", is_flag=True, help="Even if the cluster loses its majority of managers.")


@click.command()
@targets.argument
@force_option
@console.format_option
def stop(words: tuple[str, ...], everything: bool, force: bool, form: str) -> None:
    """Shut down labs, or nodes of one lab; nothing in them is lost.

    With nodes, waits until the cluster has noticed, and shows how it sees them.

    \b
    Examples:
      labgen stop three-node-btrfs
      labgen stop three-node-btrfs worker2
      labgen stop first second
      labgen stop --all
    """
    from labgen.lab import stop as recipe

    def whole(lab: str) -> str:
        with console.progress() as shown:
            changed = recipe.stop(lab, shown)
        return "is stopped" if changed else "is already stopped"

    _switch(words, everything, form, whole, partial(recipe.stop_nodes, force=force))


@click.command()
@targets.argument
@console.format_option
def start(words: tuple[str, ...], everything: bool, form: str) -> None:
    """Start stopped or suspended labs, or nodes of one lab.

    Returns when the cluster is complete again, or sees the nodes as ready.

    \b
    Examples:
      labgen start three-node-btrfs
      labgen start three-node-btrfs worker2
      labgen start --all
    """
    from labgen.lab import start as recipe

    _switch(words, everything, form, _started_in_words, recipe.start_nodes)


@click.command()
@targets.argument
@force_option
@console.format_option
def restart(words: tuple[str, ...], everything: bool, force: bool, form: str) -> None:
    """Shut down labs, or nodes of one lab, and boot them again.

    \b
    Examples:
      labgen restart three-node-btrfs worker2
      labgen restart three-node-btrfs
    """
    from labgen.lab.restart import restart_nodes
    from labgen.lab.stop import stop as shut_down

    def whole(lab: str) -> str:
        with console.progress() as shown:
            shut_down(lab, shown)
        return _started_in_words(lab)

    _switch(words, everything, form, whole, partial(restart_nodes, force=force))


@click.command()
@targets.argument
@force_option
@console.format_option
def kill(words: tuple[str, ...], everything: bool, force: bool, form: str) -> None:
    """Cut the power of labs, or of nodes of one lab.

    What the machines have not written to their disks is lost, as in a power failure. "labgen start" boots them.

    \b
    Examples:
      labgen kill three-node-btrfs worker2
      labgen kill five-node-ha manager1 manager2 --force
    """
    from labgen.lab import kill as recipe

    def whole(lab: str) -> str:
        with console.progress() as shown:
            changed = recipe.kill(lab, shown)
        return "is off" if changed else "is already off"

    _switch(words, everything, form, whole, partial(recipe.kill_nodes, force=force))


def _switch(
    words: Sequence[str],
    everything: bool,
    form: str,
    whole: Callable[[str], str],
    some: "Callable[[str, Sequence[str], Progress], list[Standing]]",
) -> None:
    """Switches labs, or some nodes of one, and prints the results.

    :param whole: switches a lab; returns the result in words. :param some: switches nodes.
    """
    labs, nodes = targets.chosen(words, everything)
    if nodes:
        with console.progress() as shown:
            standings = some(labs[0], nodes, shown)
        console.emit([asdict(each) for each in standings], form, ["node", "machine", "cluster"])
        return
    results: list[dict[str, str]] = []

    def act(lab: str) -> None:
        result = whole(lab)
        results.append({"lab": lab, "result": result})
        if form == "table":
            click.echo(f"{lab} {result}")

    try:
        targets.on_each(labs, act)
    finally:
        if form == "json":
            console.emit(results, form, ["lab", "result"])


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
    click.echo(f"{lab} {_started_in_words(lab)}")


def _started_in_words(lab: str) -> str:
    return "is running" if _started(lab).changed else "is up to date; nothing to do"


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
