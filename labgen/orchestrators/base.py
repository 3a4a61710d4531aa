"""What an orchestrator has to do for a lab."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labgen.errors import ClusterError
from labgen.model import Lab, Node
from labgen.progress import Progress

if TYPE_CHECKING:
    from labgen.engine import EngineInfo
    from labgen.ssh import Connection

State = Literal["ready", "down", "unknown"]


@dataclass(frozen=True)
class Membership:
    """One node's part in the cluster, as the cluster sees it.

    :param manages: whether it holds what the cluster knows: the plan's role may have been changed since.
    """

    state: State
    availability: str = ""
    leader: bool = False
    manages: bool = False


class ClusterLocked(ClusterError):
    """The cluster's managers want a key before they say or do anything; see :meth:`Orchestrator.unlock`."""


class ClusterGone(ClusterError):
    """No manager has the cluster that the lab once had. Another one can be formed, if the user says so."""


class Orchestrator(ABC):
    """Makes one cluster of a lab's nodes.

    A new one is a sibling module with a subclass and a line in :data:`labgen.orchestrators.ORCHESTRATORS`.

    ``kind`` is what nodes are for unless the profile says something else; see :mod:`labgen.kinds`.
    ``noun`` is what users call its cluster; empty: there is none. ``needs_manager`` says whether a lab without a
    manager can be one. ``pools`` are the networks (CIDR) that it takes in the machines, each with what for: no lab
    can be in them. ``certificate`` is the file (PEM) in a machine by which the other nodes know it. ``show`` is the
    command that shows the cluster, on a manager. ``holds`` is what its managers alone have; empty: they have nothing
    that the other nodes lack. ``when_moved`` tells users what :meth:`move` makes of the cluster.
    """

    name: str
    kind: str
    noun: str = ""
    needs_manager: bool = True
    pools: Mapping[str, str] = {}
    certificate: str = ""
    show: str = ""
    holds: str = ""
    when_moved: str = ""

    @abstractmethod
    def form(
        self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress, *, empty: Collection[str]
    ) -> bool:
        """Called when every node is ready; forms the cluster, or repairs what is there.

        :param connections: to the lab's members, by node name.
        :param empty: the nodes that have nothing to lose in a cluster: they may
            leave the one they are in. The others stay what they are.
        :return: whether anything had to be done.
        :raises ClusterLocked: as it says. :raises ClusterGone: as it says.
        :raises ClusterError: it could not be formed, or is in a state that only the user can judge.
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
    def unlock(self, manager: "Connection", key: str) -> None:
        """Called after :class:`ClusterLocked`, for each manager, with the key that the user has.

        :raises ClusterError: the key is not the right one.
        """

    @abstractmethod
    def members(self, lab: Lab, manager: "Connection") -> dict[str, Membership]:
        """Called for the status; what one manager says of the nodes, by node name.

        :raises ClusterError: the manager does not answer.
        """

    def advice(self, *, managers: int, labels: bool) -> Iterator[str]:
        """Called for a profile: what is allowed, but probably not meant, as sentences; by default nothing.

        :param managers: how many there are. :param labels: whether any node has one.
        """
        yield from ()

    def handoff(self) -> str:
        """POSIX shell that ends the ``up`` of a handed-over lab: makes one cluster of its machines, which are up.

        It has what scripts/handoff/up defines; by default there is nothing to do.
        """
        return ""

    def ports(self, node: Node) -> tuple[int, ...]:
        """The TCP ports at which the other nodes need a node that is part of the cluster; by default none."""
        return ()

    def complaint(self, node: Node, info: "EngineInfo") -> str:
        """What is wrong with a node's part in the cluster, as its own engine sees it; by default nothing is."""
        return ""
