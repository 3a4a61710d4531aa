"""The interface of an orchestrator: what it has to do for a lab."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labgen.errors import ClusterError
from labgen.model import Lab, Node
from labgen.progress import Progress
from labgen.records.changes import Change

if TYPE_CHECKING:
    from labgen.engine import EngineInfo
    from labgen.ssh import Connection

State = Literal["ready", "down", "unknown"]


@dataclass(frozen=True)
class Membership:
    """One node's part in the cluster, as the cluster sees it.

    :param manages: whether it has the cluster's state: the plan's role may have been changed since.
    """

    state: State
    availability: str = ""
    leader: bool = False
    manages: bool = False


class ClusterLocked(ClusterError):
    """The cluster's managers need a key before they answer or do anything; see :meth:`Orchestrator.unlock`."""


class ClusterGone(ClusterError):
    """No manager has the cluster that the lab once had. A new one can be formed, if the user agrees."""


class Orchestrator(ABC):
    """Forms one cluster of a lab's nodes.

    A new one is a sibling module with a subclass and a line in :data:`labgen.orchestrators.ORCHESTRATORS`.

    ``kind`` is the nodes' kind unless the profile specifies another one; see :mod:`labgen.kinds`.
    ``noun`` is the users' name for its cluster; empty: there is none. ``needs_manager`` tells whether a lab must have
    a manager. ``pools`` are the networks (CIDR) that it uses in the machines, each with its purpose: no lab can be in
    them. ``certificate`` is the file (PEM) in a machine by which the other nodes know it. ``show`` is the
    command that shows the cluster, on a manager. ``holds`` is what only its managers have; empty: they have nothing
    that the other nodes lack. ``when_moved`` tells users what :meth:`move` does to the cluster.
    ``departure`` is shell by which a machine leaves its cluster, as root and without a network; it fails until it
    can. Its variable ``address`` is the machine's, with the length of the prefix.
    ``runs_stacks``: whether Docker's ``docker stack`` deploys compose files there.
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
    departure: str = ""
    runs_stacks: bool = False

    @abstractmethod
    def form(
        self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress, *, empty: Collection[str]
    ) -> bool:
        """Called when every node is ready; forms the cluster, or repairs the existing one.

        :param connections: to the lab's members, by node name.
        :param empty: the nodes that have nothing to lose in a cluster: they may
            leave the one they are in. The others are kept as they are.
        :return: whether anything had to be done.
        :raises ClusterLocked: see there. :raises ClusterGone: see there.
        :raises ClusterError: it could not be formed, or is in a state that only the user can judge.
        """

    @abstractmethod
    def move(self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress) -> None:
        """Called before :meth:`form` if all nodes have other addresses than in the cluster's data on their disks.

        :raises ClusterError: the data on the disks cannot be used.
        """

    @abstractmethod
    def renew_secrets(self, lab: Lab, connections: "Mapping[str, Connection]") -> None:
        """Called after :meth:`form` when others may know the secret that lets a node into the cluster.

        :raises ClusterError: it cannot be changed.
        """

    @abstractmethod
    def unlock(self, manager: "Connection", key: str) -> None:
        """Called after :class:`ClusterLocked`, for each manager, with the key that the user has.

        :raises ClusterError: the key is not correct.
        """

    @abstractmethod
    def members(self, lab: Lab, manager: "Connection") -> dict[str, Membership]:
        """Called for the status; one manager's report about the nodes, by node name.

        :raises ClusterError: the manager does not answer.
        """

    def regain(self, lab: Lab, manager: "Connection", progress: Progress) -> None:
        """Called when the other managers are lost: makes this one the only one, unless the cluster has a leader.

        :raises ClusterError: the data on its disk cannot be used.
        """
        return

    def put_back(self, manager: "Connection", changes: Sequence[Change]) -> None:
        """Called to take back what was changed in the cluster for a while, see :mod:`labgen.records.changes`.

        What is gone meanwhile is left alone; default: nothing can be changed.

        :param manager: a node that answers, and may manage the cluster. :param changes: in the order of the work.
        :raises ClusterError: it does not manage it, or refuses.
        """
        return

    def advice(self, *, managers: int, labels: bool) -> Iterator[str]:
        """Called for a profile: settings that are allowed, but probably not intended, as sentences; default: none.

        :param managers: how many there are. :param labels: whether any node has one.
        """
        yield from ()

    def handoff(self) -> str:
        """POSIX shell that ends the ``up`` of a handed-over lab: forms one cluster of its machines, which are up.

        It can use everything that scripts/handoff/up defines; default: nothing to do.
        """
        return ""

    def ports(self, node: Node) -> tuple[int, ...]:
        """The TCP ports at which the other nodes need a node that is part of the cluster; default: none."""
        return ()

    def complaint(self, node: Node, info: "EngineInfo") -> str:
        """What is wrong with a node's part in the cluster, as its own engine sees it; default: nothing."""
        return ""
