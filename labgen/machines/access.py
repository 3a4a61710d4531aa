"""Entering a lab's machines."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping

from labgen import paths, ssh
from labgen.errors import GuestError, UsageError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.records import journals
from labgen.suggestions import near

LOGIN_LIMIT = 30  # seconds for each stage of a login to a machine that is up
AS_AFTER = "as after 'labgen net --down' or 'virsh domif-setlink'"


def target(lab: Lab, node: Node) -> ssh.Target:
    directory = paths.lab(lab.name)
    return ssh.Target(node.name, node.address, directory / paths.KEY, directory / paths.KNOWN_HOSTS)


def find_node(lab: Lab, name: str) -> Node:
    """:raises UsageError: the lab has no such node."""
    try:
        return lab.node(name)
    except KeyError as error:
        hint = near(name, [node.name for node in lab.nodes], "nodes")
        raise UsageError(f"the lab {lab.name!r} has no node named {name!r}", hint) from error


@contextlib.contextmanager
def entered(connect: Mapping[str, Callable[[], ssh.Connection]]) -> Iterator[dict[str, ssh.Connection]]:
    """Connections to several nodes, opened in parallel and closed at the end.

    :param connect: opens each connection, by node name.
    """
    with contextlib.ExitStack() as stack:
        yield on_each(connect, lambda make: stack.enter_context(make()))


def cut_off_evidence(lab: Lab) -> str:
    return f"its network interface is not attached to a bridge, as after 'virsh net-destroy {lab.network.name}'"


def link_down(lab: Lab, nodes: Collection[str]) -> GuestError:
    """The error about nodes that cannot be entered because their links are down, on purpose. :param nodes: names."""
    names = sorted(nodes)
    are, their = ("is", "its link is") if len(names) == 1 else ("are", "their links are")
    return GuestError(
        f"{', '.join(names)} of {lab.name!r} {are} cut off from the network: {their} down",
        AS_AFTER,
        "\n".join(up_again(lab, name) for name in names),
    )


def up_again(lab: Lab, node: str) -> str:
    return f"labgen net {lab.name} {node} --up"


def with_link_down(lab: Lab, hypervisor: Hypervisor) -> set[str]:
    """The nodes whose links are down, whether or not their machines run."""
    down = hypervisor.links.down(lab.prefix, lab.network)
    return {node.name for node in lab.nodes if node.domain in down}


def why_off(lab: Lab, node: Node) -> GuestError | None:
    """What libvirt reports about a node that cannot be entered; None if its machine runs and is connected.

    :raises HostError: libvirt does not answer.
    """
    with LOCAL.connect() as hypervisor:
        states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
        cut_off = hypervisor.cards.cut_off(lab.prefix, lab.network)
        down = with_link_down(lab, hypervisor)
    now = states.get(node.domain)
    start = f"labgen start {lab.name}"
    if now == "running" and node.domain in cut_off:
        return GuestError(
            f"{node.name} of {lab.name!r} is disconnected from its network", cut_off_evidence(lab), start
        )
    if now == "running":
        return link_down(lab, [node.name]) if node.name in down else None
    if now is None:
        way = f"labgen rebuild {lab.name} {node.name}" if journals.load(lab.name).complete else start
        return GuestError(f"{node.name} of {lab.name!r} has no machine", f"libvirt has no domain {node.domain}", way)
    if now == "suspended" and journals.is_locked(lab.name):
        why = "another labgen process is working on the lab"
        return GuestError(f"{node.name} of {lab.name!r} is paused", why, "Try again when that has ended.")
    what = f"{node.name} of {lab.name!r}" if "running" in states.values() else f"the lab {lab.name!r}"
    return GuestError(f"{what} is {now}", resolution=start)
