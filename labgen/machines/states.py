"""The state of a lab and its nodes, derived from the states of their machines in libvirt."""

from collections.abc import Mapping
from typing import Literal

from labgen.hypervisor import Domain
from labgen.records import journals
from labgen.records.journals import Journal

LabState = Literal["running", "stopped", "suspended", "failed", "creating"]


def node_states(journal: Journal, domains: Mapping[str, Domain]) -> dict[str, str]:
    """A node without a machine has failed: its machine could not be created, or a user removed it.

    Exception: the machines of a lab that was imported as a recipe are created by its first start.
    """
    to_come = journal.origin and not journal.complete and not journal.failure and not domains
    absent = "stopped" if to_come else "failed"
    return {node.name: domains[node.domain].state if node.domain in domains else absent for node in journal.lab.nodes}


def lab_state(journal: Journal, states: Mapping[str, str]) -> LabState:
    present = set(states.values())
    if not journal.complete:
        if journals.is_locked(journal.lab.name):
            return "creating"
        return "stopped" if journal.origin and present == {"stopped"} else "failed"
    # A lab is running even if a node was switched off, for example to show how the others react.
    for each in ("running", "suspended", "failed"):
        if each in present:
            return each
    return "stopped"
