"""The interface of a kind of machine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labgen.model import Disk, Lab, Node, NodeFacts, Step
from labgen.progress import Progress
from labgen.storage import StorageDriver

if TYPE_CHECKING:
    from labgen.ssh import Connection


class Kind(ABC):
    """The purpose of a machine: its disks, the scripts that prepare it, and when it is ready.

    A new kind is a sibling module with a subclass, and a line in :data:`labgen.kinds.KINDS`.

    ``is_member``: whether it is part of the lab's cluster and has a role there. ``has_docker``: whether Docker runs
    in it, on the lab's storage driver. ``doing``: the texts that users see while its guest scripts run, by script.
    """

    name: str
    is_member: bool = False
    has_docker: bool = False
    doing: Mapping[str, str] = {}

    def disks(self, storage_gib: int) -> tuple[Disk, ...]:
        """Its disks in addition to the root disk; by default none.

        :param storage_gib: the size of the disk for Docker's data in the profile, in GiB.
        """
        return ()

    def steps(self, driver: StorageDriver, mirror: str) -> tuple[Step, ...]:
        """The guest scripts that prepare it, in order; by default none.

        :param mirror: the URL from which its Docker pulls Docker Hub's images; empty: from Docker Hub.
        """
        return ()

    def start(self, node: Node, connection: "Connection", progress: Progress) -> None:
        """Starts the required services in a machine that a user may have changed, and changes nothing else.

        :raises GuestError: a service does not start.
        """
        return

    @abstractmethod
    def inspect(self, lab: Lab, node: Node, connection: "Connection") -> NodeFacts:
        """Checks whether a machine that accepts logins is ready, and gathers facts about it.

        :raises LabgenError: it is not ready.
        """
