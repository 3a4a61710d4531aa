"""The network of single nodes, made worse from the host: links that are down, delay, loss, limits.

A link is libvirt's, and stays down when its machine is switched off and on. Everything else is the kernel's, and ends
when the machine is switched off.
"""

import contextlib
from collections.abc import Iterator, Mapping

from labgen.errors import HostError, HypervisorError
from labgen.hypervisor import Link
from labgen.impairment import Impairment
from labgen.machines.opened import Opened
from labgen.model import Node


def set_link(lab: Opened, node: Node, *, up: bool) -> None:
    """:raises HypervisorError: libvirt refuses."""
    lab.hypervisor.links.set(node.domain, lab.plan.network, up=up)
    lab.progress.done(f"link {'up' if up else 'down'}", node.name, stage="set-link")


def impair(lab: Opened, node: Node, change: Mapping[str, float]) -> None:
    """Changes what happens to a running node's packets.

    :param change: new values of fields of :class:`~labgen.impairment.Impairment`; the other fields stay.
    :raises HostError: the host's kernel lacks a part, or only root may do this; the details are the words of tc.
    :raises HypervisorError: libvirt refuses.
    """
    link, present = _present(lab, node)
    wanted = Impairment(**{**vars(present), **change})
    if wanted.delays_or_loses:
        lab.host.impair(link.interface, wanted)
        if link.receives or link.sends:
            # libvirt has only a limit. Removing it also removes everything else from the interface.
            lab.hypervisor.links.limit(node.domain, lab.plan.network)
            lab.host.impair(link.interface, wanted)
    elif wanted.rate:
        _limit(lab, node, link, wanted)
    else:
        _clear(lab, node, link)
    lab.progress.done("network changed", node.name, stage="impair")


def reset(lab: Opened, node: Node) -> None:
    """Puts a node's network back to what it always is. :raises LabgenError: as the functions above."""
    link, _ = _present(lab, node)
    lab.hypervisor.links.set(node.domain, lab.plan.network, up=True)  # first, because it needs no root
    _clear(lab, node, link)
    lab.progress.done("network reset", node.name, stage="reset-network")


@contextlib.contextmanager
def kept(lab: Opened) -> Iterator[None]:
    """Sets again what the kernel did to the nodes' packets, if their machines are off for a moment in between."""
    impairments = lab.host.impairments()
    before = {
        name: impairments[link.interface] for name, link in _links(lab).items() if link.interface in impairments
    }
    yield
    after = _links(lab)
    for name, impairment in before.items():
        try:
            lab.host.impair(after[name].interface, impairment)
        except HostError as error:
            lab.progress.note(f"{name}: its network is as always again: {error.brief}")


def _links(lab: Opened) -> dict[str, Link]:
    """By node name."""
    found = lab.hypervisor.links.found(lab.plan.prefix, lab.plan.network)
    return {node.name: found[node.domain] for node in lab.nodes if node.domain in found}


def _present(lab: Opened, node: Node) -> tuple[Link, Impairment]:
    """:raises HypervisorError: the node has no card in the lab's network."""
    link = _links(lab).get(node.name)
    if link is None:
        raise HypervisorError(
            f"{node.name} of {lab.plan.name!r} has no network card in the lab's network",
            f"{node.domain} has no interface in {lab.plan.network.name}",
            f"labgen rebuild {lab.plan.name} {node.name}",
        )
    found = lab.host.impairments().get(link.interface, Impairment()) if link.interface else Impairment()
    return link, Impairment(found.delay, found.loss, found.rate or link.receives or link.sends)


def _limit(lab: Opened, node: Node, link: Link, wanted: Impairment) -> None:
    """libvirt can limit both directions, and needs no root; but it needs more of the kernel than tc's own limit."""
    try:
        lab.hypervisor.links.limit(node.domain, lab.plan.network, receives=wanted.rate, sends=wanted.rate)
    except HypervisorError as error:
        lab.host.impair(link.interface, wanted)
        why = " ".join(error.details.split())
        lab.progress.note(f"{node.name}: what it receives is limited, but not what it sends: {why}")


def _clear(lab: Opened, node: Node, link: Link) -> None:
    if not link.interface:
        return
    if link.receives or link.sends:
        lab.hypervisor.links.limit(node.domain, lab.plan.network)
    lab.host.impair(link.interface, Impairment())
