"""``net``: the network of single nodes, changed from the host."""

from collections.abc import Mapping

from labgen.errors import UsageError
from labgen.machines import access, net, power
from labgen.machines.networks import NodeNetwork, networks_now
from labgen.machines.opened import Opened, opened
from labgen.machines.seen import host_of, seen
from labgen.model import Node
from labgen.progress import Progress

Networks = dict[str, NodeNetwork]  # by node name


def look(name: str, node: str | None = None) -> Networks:
    """What the networks of all nodes, or of one, are like now.

    :raises UsageError: there is no such lab or node. :raises HostError: libvirt or tc does not answer.
    """
    with seen(name) as (journal, hypervisor):
        chosen = [access.find_node(journal.lab, node)] if node else journal.lab.nodes
        found = networks_now(journal.lab, hypervisor, host_of(journal))
    return {each.name: found[each.name] for each in chosen if each.name in found}


def set_link(name: str, node: str, progress: Progress, *, up: bool, force: bool = False) -> Networks:
    """Sets a node's link up or down; it stays so until it is set again. A node that is off can only be set up.

    :param force: set it down even if the cluster loses its majority of managers.
    :raises UsageError: there is no such lab or node, it is suspended, or the majority would be lost.
    :raises GuestError: the node is off.
    :raises LabgenError: another process works on the lab, or libvirt refuses.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = _chosen(lab, node, may_be_off=up)
        if not up:
            power.chosen_to_go_off(lab, [node], force=force)
        net.set_link(lab, chosen, up=up)
        return _now(lab, chosen)


def impair(name: str, node: str, change: Mapping[str, float], progress: Progress) -> Networks:
    """Changes delay, loss or rate of a running node's network; what is not mentioned stays.

    :param change: see :func:`labgen.machines.net.impair`.
    :raises UsageError: there is no such lab or node, or it is suspended. :raises GuestError: the node is off.
    :raises HostError: the host's kernel lacks a part, or only root may do this.
    :raises LabgenError: another process works on the lab, or libvirt refuses.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = _chosen(lab, node, may_be_off=False)
        net.impair(lab, chosen, change)
        return _now(lab, chosen)


def reset(name: str, node: str | None, progress: Progress) -> Networks:
    """Puts back the network of one node, or of all.

    :raises UsageError: there is no such lab or node, or it is suspended.
    :raises LabgenError: another process works on the lab, or libvirt or tc refuses.
    """
    with opened(name, progress, finished=True) as lab:
        if node:
            chosen = [_chosen(lab, node, may_be_off=True)]
        else:
            power.refuse_suspended(lab)
            there = lab.states()
            chosen = [each for each in lab.nodes if each.name in there]
        for each in chosen:
            net.reset(lab, each)
        return _now(lab, *chosen)


def _chosen(lab: Opened, name: str, *, may_be_off: bool) -> Node:
    [node] = power.chosen(lab, [name])
    state = lab.states().get(name)
    if state != "running" and not (state and may_be_off):
        raise access.why_off(lab.plan, node) or UsageError(f"{name} of {lab.plan.name!r} is {state}")
    return node


def _now(lab: Opened, *nodes: Node) -> Networks:
    found = networks_now(lab.plan, lab.hypervisor, lab.host)
    return {node.name: found[node.name] for node in nodes if node.name in found}
