"""What an orchestrator has to do for a lab."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labgen.model import Lab
from labgen.progress import Progress

if TYPE_CHECKING:
    from labgen.ssh import Connection

State = Literal["ready", "down", "unknown"]


@dataclass(frozen=True)
class Membership:
    """One node's part in the cluster, as the cluster sees it."""

    state: State
    availability: str = ""
    leader: bool = False


class Orchestrator(ABC):
    """Makes one cluster of a lab's nodes.

    A new one is a sibling module with a subclass and a line in :data:`labgen.orchestrators.ORCHESTRATORS`.
    """

    name: str

    @abstractmethod
    def form(self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress) -> bool:
        """Called when Docker runs on every node; forms the cluster, or repairs what is there.

        :param connections: by node name.
        :return: whether anything had to be done.
        :raises ClusterError: it could not be formed.
        """

    @abstractmethod
    def move(self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress) -> None:
        """Called before :meth:`form` when all nodes have other addresses than the cluster on their disks knows.

        :raises ClusterError: what is on the disks cannot be used.
        """

    @abstractmethod
    def renew_secrets(self, lab: Lab, connections: "Mapping[str, Connection]") -> None:
        """Called after :meth:`form` when others may know what lets a node into the cluster.

        :raises ClusterError: it cannot be changed.
        """

    @abstractmethod
    def members(self, lab: Lab, manager: "Connection") -> dict[str, Membership]:
        """Called for the status; what one manager says of the nodes, by node name.

        :raises ClusterError: the manager does not answer.
        """
