"""What single nodes' networks are like now, asked from libvirt and the host's kernel; labgen records nothing of it.

Kept apart from :mod:`labgen.machines.net`, which loads what changes a lab.
"""

from dataclasses import dataclass
from typing import Literal

from labgen.host import Host
from labgen.hypervisor import Hypervisor, Link
from labgen.impairment import Impairment, delay_in_words, loss_in_words, rate_in_words
from labgen.model import Lab

Direction = Literal["both", "received", "sent"]


@dataclass(frozen=True)
class NodeNetwork:
    """What a node's network is like, in the words of the options of ``labgen net``; None: as it always is.

    :param up: whether its link is up; if its machine is off: whether it will be.
    :param rate_direction: what the rate limits, seen from the node.
    """

    up: bool
    delay: str | None = None
    loss: str | None = None
    rate: str | None = None
    rate_direction: Direction | None = None

    def in_words(self) -> str:
        """Everything about it that is unusual; empty if nothing is."""
        rate = f"rate {self.rate}{one_way(self)}" if self.rate else ""
        words = ["" if self.up else "down", f"delay {self.delay}" if self.delay else ""]
        words += [f"loss {self.loss}" if self.loss else "", rate]
        return ", ".join(filter(None, words))


def one_way(network: NodeNetwork) -> str:
    """A remark on a limit that holds for one direction only; empty if there is none."""
    return f" ({network.rate_direction})" if network.rate_direction in {"received", "sent"} else ""


def networks_now(lab: Lab, hypervisor: Hypervisor, host: Host) -> dict[str, NodeNetwork]:
    """What the nodes' networks are like now, by node name; nodes without a card in the lab's network are left out.

    :raises HostError: tc cannot tell. :raises HypervisorError: libvirt refuses.
    """
    links = hypervisor.links.found(lab.prefix, lab.network)
    impairments = host.impairments() if any(link.interface for link in links.values()) else {}
    found = {node.name: links[node.domain] for node in lab.nodes if node.domain in links}
    return {name: _network(link, impairments.get(link.interface, Impairment())) for name, link in found.items()}


def _network(link: Link, found: Impairment) -> NodeNetwork:
    receives = found.rate or link.receives
    rate = receives or link.sends
    both: Direction = "both" if receives and link.sends else "received" if receives else "sent"
    return NodeNetwork(
        link.up,
        delay_in_words(found.delay) if found.delay else None,
        loss_in_words(found.loss) if found.loss else None,
        rate_in_words(rate) if rate else None,
        both if rate else None,
    )
