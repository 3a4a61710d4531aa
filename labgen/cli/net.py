"""``labgen net``"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console, power

if TYPE_CHECKING:
    from labgen.machines.networks import NodeNetwork


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.argument("node", required=False, shell_complete=complete.nodes)
@click.option("--down", is_flag=True, help="Set the node's link down, like an unplugged cable.")
@click.option("--up", is_flag=True, help="Set it up again.")
@click.option("--delay", metavar="TIME", help="Delay each packet that the node receives: 100ms, 1.5s.")
@click.option("--loss", metavar="PERCENT", help="Lose packets that the node receives, at random: 5%, 0.1%.")
@click.option("--rate", metavar="RATE", help="Limit the node's traffic: 1mbit, 500kbit.")
@click.option("--reset", is_flag=True, help="Put everything back; without NODE, on all nodes.")
@power.force_option
@console.format_option
def net(  # noqa: PLR0917 - the command's options
    lab: str,
    node: str | None,
    down: bool,
    up: bool,
    delay: str | None,
    loss: str | None,
    rate: str | None,
    reset: bool,
    force: bool,
    form: str,
) -> None:
    """Show or change the network of one node, from the host.

    A link that is down stays down when the node is switched off and on. Delay, loss and rate can be combined, and end
    when the node is switched off. They need root, through sudo, except for a rate alone where libvirt can limit it.

    \b
    Examples:
      labgen net three-node-btrfs
      labgen net three-node-btrfs worker1 --down
      labgen net three-node-btrfs worker1 --up
      labgen net three-node-btrfs worker1 --delay 100ms --loss 1%
      labgen net three-node-btrfs worker1 --rate 1mbit
      labgen net three-node-btrfs --reset
    """
    from labgen.lab import net as recipe

    change = _change(delay, loss, rate)
    if sum((down, up, reset, bool(change))) > 1:
        raise click.UsageError("--down, --up, --reset and the group of --delay, --loss and --rate cannot be combined")
    if force and not down:
        raise click.UsageError("--force needs --down")
    if not node and (down or up or change):
        raise click.UsageError("specify the node to change")
    if not (down or up or reset or change):
        _show(recipe.look(lab, node), form)
        return
    with console.progress() as shown:
        if reset:
            found = recipe.reset(lab, node, shown)
        elif change:
            found = recipe.impair(lab, node or "", change, shown)
        else:
            found = recipe.set_link(lab, node or "", shown, up=up, force=force)
    _show(found, form)


def _change(delay: str | None, loss: str | None, rate: str | None) -> dict[str, float]:
    """The values of the options that were given, by name."""
    from labgen import impairment

    given = {"delay": delay, "loss": loss, "rate": rate}
    return {name: getattr(impairment, name)(text) for name, text in given.items() if text is not None}


def _show(found: "Mapping[str, NodeNetwork]", form: str) -> None:
    from labgen.machines.networks import one_way

    rows = [{"node": node, **asdict(network)} for node, network in found.items()]
    if form == "table":
        for row, network in zip(rows, found.values(), strict=True):
            row |= {"link": "up" if network.up else "down", "rate": network.rate and network.rate + one_way(network)}
    console.emit(rows, form, ["node", "link", "delay", "loss", "rate"])
