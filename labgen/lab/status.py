"""``status``: what the host and the cluster report now."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from labgen import paths
from labgen.errors import LabgenError
from labgen.machines.membership import members
from labgen.machines.networks import NodeNetwork, networks_now
from labgen.machines.seen import host_of, seen
from labgen.machines.states import LabState, lab_state, node_states
from labgen.model import Node
from labgen.orchestrators.base import Membership
from labgen.records import changes, journals
from labgen.records.journals import Journal

UNKNOWN = Membership("unknown")


@dataclass(frozen=True)
class Status:
    """A lab's current state; ``members``, ``states`` and ``networks`` are by node name.

    :param cut_off: the nodes that run without their network.
    :param interrupted: the command that has left changes which have to be put back; empty: none has.
    """

    journal: Journal
    state: LabState
    states: Mapping[str, str]
    members: Mapping[str, Membership]
    cut_off: Collection[str] = ()
    networks: Mapping[str, NodeNetwork] = field(default_factory=dict)
    interrupted: str = ""

    @property
    def down(self) -> list[str]:
        """The nodes whose links are down, on purpose."""
        return [name for name, network in self.networks.items() if not network.up]

    def to_json(self) -> dict[str, Any]:
        """The stable format for scripts; see docs/labs.md."""
        lab = self.journal.lab
        return {
            "lab": lab.name,
            "profile": lab.profile,
            "state": self.state,
            "box": {"name": lab.box.name, "version": lab.box.version},
            "orchestrator": lab.orchestrator,
            "registry": self._registry(),
            "interrupted": self.interrupted or None,
            "nodes": [self._node(node) for node in lab.nodes],
        }

    def _registry(self) -> dict[str, str] | None:
        lab = self.journal.lab
        if not lab.registry:
            return None
        certificate = paths.lab(lab.name) / paths.REGISTRY_CA
        return {"name": lab.registry_name, "address": lab.registry_address, "certificate": str(certificate)}

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
            "network": asdict(self.networks[node.name]) if node.name in self.networks else None,
            "storage_driver": (facts and facts.storage_driver) or None,
            "backing_filesystem": (facts and facts.backing_filesystem) or None,
            "engine_version": (facts and facts.engine_version) or None,
            "kernel": facts.kernel if facts else None,
            "cluster": cluster,
            "swarm": cluster,  # its name in 0.1.0, kept for one release
        }

    def _cluster(self, node: Node) -> dict[str, Any] | None:
        if not node.role:
            return None  # it is outside the cluster
        member = self.members.get(node.name, UNKNOWN)
        return {"state": member.state, "availability": member.availability or None, "leader": member.leader}


def status(name: str) -> Status:
    """:raises UsageError: there is no such lab. :raises HostError: libvirt does not answer."""
    with seen(name) as (journal, hypervisor):
        lab = journal.lab
        domains = {domain.name: domain for domain in hypervisor.domains(lab.prefix)}
        without = hypervisor.cards.cut_off(lab.prefix, lab.network)
        networks = networks_now(lab, hypervisor, host_of(journal))
    states = node_states(journal, domains)
    cut_off = [node.name for node in lab.nodes if node.domain in without]
    reachable = {name for name, state in states.items() if state == "running"}
    reachable -= {*cut_off, *(name for name, network in networks.items() if not network.up)}
    said = members(lab, reachable) if journal.complete else {}
    return Status(journal, lab_state(journal, states), states, said, cut_off, networks, _interrupted(name))


def _interrupted(name: str) -> str:
    """The command that was killed and has left changes; one that works on the lab now has not."""
    try:
        left = changes.load(name)
    except LabgenError:  # the next command that works on the lab explains it
        return "command"
    return left.command if left and not journals.is_locked(name) else ""
