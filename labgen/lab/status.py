"""``status`` and ``list``: what the host and the cluster say at this moment."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from labgen.errors import LabgenError
from labgen.hypervisor import Domain, Hypervisor
from labgen.machines.membership import members
from labgen.machines.opened import seen
from labgen.model import Node
from labgen.orchestrators.base import Membership
from labgen.records import journals
from labgen.records.journals import Journal

LabState = Literal["running", "stopped", "suspended", "failed", "creating"]
UNKNOWN = Membership("unknown")


@dataclass(frozen=True)
class Status:
    """A lab as it is now; ``members`` and ``states`` are by node name.

    :param cut_off: the nodes that run without their network.
    """

    journal: Journal
    state: LabState
    states: Mapping[str, str]
    members: Mapping[str, Membership]
    cut_off: Collection[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The stable form that scripts read; see docs/labs.md."""
        lab = self.journal.lab
        return {
            "lab": lab.name,
            "profile": lab.profile,
            "state": self.state,
            "box": {"name": lab.box.name, "version": lab.box.version},
            "orchestrator": lab.orchestrator,
            "nodes": [self._node(node) for node in lab.nodes],
        }

    def _node(self, node: Node) -> dict[str, Any]:
        facts = self.journal.facts.get(node.name)
        cluster = self._cluster(node)
        return {
            "name": node.name,
            "kind": node.kind,
            "role": node.role or None,
            "address": node.address,
            "state": self.states[node.name],
            "connected": node.name not in self.cut_off,
            "storage_driver": (facts and facts.storage_driver) or None,
            "backing_filesystem": (facts and facts.backing_filesystem) or None,
            "engine_version": (facts and facts.engine_version) or None,
            "kernel": facts.kernel if facts else None,
            "cluster": cluster,
            "swarm": cluster,  # its name in 0.1.0, kept for one release
        }

    def _cluster(self, node: Node) -> dict[str, Any] | None:
        if not node.role:
            return None  # it is outside
        member = self.members.get(node.name, UNKNOWN)
        return {"state": member.state, "availability": member.availability or None, "leader": member.leader}


def status(name: str) -> Status:
    """:raises UsageError: there is no such lab. :raises HostError: libvirt does not answer."""
    with seen(name) as (journal, hypervisor):
        lab = journal.lab
        domains = {domain.name: domain for domain in hypervisor.domains(lab.prefix)}
        without = hypervisor.cards.cut_off(lab.prefix, lab.network)
    states = _node_states(journal, domains)
    cut_off = [node.name for node in lab.nodes if node.domain in without]
    reachable = {name for name, state in states.items() if state == "running"}.difference(cut_off)
    said = members(lab, reachable) if journal.complete else {}
    return Status(journal, _lab_state(journal, states), states, said, cut_off)


def listing() -> list[dict[str, object]]:
    """A row for each lab, without entering any machine.

    :raises HostError: libvirt does not answer.
    """
    names = journals.names()
    if not names:
        return []
    with Hypervisor.connect() as hypervisor:
        return [_row(name, hypervisor) for name in names]


def _row(name: str, hypervisor: Hypervisor) -> dict[str, object]:
    try:
        journal = journals.load(name)
    except LabgenError:
        return {"name": name, "profile": "?", "state": "failed", "nodes": 0, "subnet": "?"}
    lab = journal.lab
    states = _node_states(journal, {domain.name: domain for domain in hypervisor.domains(lab.prefix)})
    return {
        "name": name,
        "profile": lab.profile,
        "state": _lab_state(journal, states),
        "nodes": len(lab.nodes),
        "subnet": lab.network.subnet,
    }


def _node_states(journal: Journal, domains: Mapping[str, Domain]) -> dict[str, str]:
    """A node without a machine has failed: it could not be made, or somebody removed it.

    But those of a lab that was imported as a recipe are made by its first start.
    """
    to_come = journal.origin and not journal.complete and not journal.failure and not domains
    absent = "stopped" if to_come else "failed"
    return {node.name: domains[node.domain].state if node.domain in domains else absent for node in journal.lab.nodes}


def _lab_state(journal: Journal, states: Mapping[str, str]) -> LabState:
    present = set(states.values())
    if not journal.complete:
        if journals.is_locked(journal.lab.name):
            return "creating"
        return "stopped" if journal.origin and present == {"stopped"} else "failed"
    # A lab with a node that was switched off, to show what the others do, is running.
    for each in ("running", "suspended", "failed"):
        if each in present:
            return each
    return "stopped"
