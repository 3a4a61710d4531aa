"""What a lab's cluster reports about its nodes, and what it loses with one of them."""

from collections.abc import Collection, Mapping

from labgen.errors import LabgenError
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.orchestrators.base import Membership
from labgen.records.journals import Journal

ANSWER_LIMIT = 10  # seconds for a manager to report the state of the cluster


def members(lab: Lab, reachable: Collection[str]) -> dict[str, Membership]:
    """The report of the first node that can give one, by node name; empty if there is none.

    Workers are asked after the managers: a user may have promoted one.

    :param reachable: the names of the nodes that run and are connected.
    """
    from labgen import ssh  # noqa: PLC0415 - paramiko takes long to load, and a lab that is off needs none
    from labgen.machines.access import target  # noqa: PLC0415

    for node in sorted(lab.members, key=lambda node: node.role != "manager"):
        if node.name in reachable:
            try:
                with ssh.Connection.open(target(lab, node), ANSWER_LIMIT) as connection:
                    return ORCHESTRATORS[lab.orchestrator].members(lab, connection)
            except LabgenError:
                continue
    return {}


def losses_of_cluster(journal: Journal, node: Node, said: Mapping[str, Membership]) -> list[str]:
    """What the cluster loses with a node's disks, in words.

    :param said: reported by the cluster itself; if empty, the managers are those of the plan.
    """
    managers = {name for name, each in said.items() if each.manages} or {each.name for each in journal.lab.managers}
    if node.name not in managers:
        return []
    away = {name for name, each in said.items() if each.state != "ready"} | journal.rebuilding | {node.name}
    left = managers - away
    if not left:
        held = ORCHESTRATORS[journal.lab.orchestrator].holds
        return [f"the cluster's contents ({held}): no other manager has them"]
    if 2 * len(left) <= len(managers):
        return [f"changes to the cluster: {len(left)} of {len(managers)} managers are not a majority"]
    return []


def majority_lost(journal: Journal, going: Collection[str], said: Mapping[str, Membership]) -> str:
    """Why the cluster cannot be changed without some nodes, in words; empty if it can, or already cannot.

    :param going: the nodes' names. :param said: reported by the cluster itself; if empty, it has no majority now.
    """
    managers = {name for name, each in said.items() if each.manages}
    ready = {name for name in managers if said[name].state == "ready"}
    left = ready.difference(going)
    if left == ready or 2 * len(left) > len(managers):
        return ""
    noun = ORCHESTRATORS[journal.lab.orchestrator].noun
    return f"{len(left)} of {len(managers)} managers would be left; tasks go on, but the {noun} starts no new ones"
