"""The orchestrators, each of which can form one cluster of a lab's nodes."""

from labgen.orchestrators.base import ClusterGone, ClusterLocked, Orchestrator
from labgen.orchestrators.none import NoOrchestrator
from labgen.orchestrators.swarm import Swarm

ORCHESTRATORS: dict[str, Orchestrator] = {
    "none": NoOrchestrator(),
    "swarm": Swarm(),
}
DEFAULT = "swarm"  # of a profile that names none

__all__ = ["DEFAULT", "ORCHESTRATORS", "ClusterGone", "ClusterLocked", "Orchestrator"]
