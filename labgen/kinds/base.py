"""What a kind of machine has to say for itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labgen.model import Disk, Lab, Node, NodeFacts, Step
from labgen.progress import Progress
from labgen.storage import StorageDriver

if TYPE_CHECKING:
    from labgen.ssh import Connection


class Kind(ABC):
    """What a machine is for: its disks, what prepares it, and when it is ready.

    A new kind is a sibling module with a subclass, and a line in :data:`labgen.kinds.KINDS`.

    ``is_member`` says whether it is part of the lab's cluster, and has a role there. ``has_docker`` says whether
    Docker runs in it, on the lab's storage driver. ``doing`` is what users read while one of its guest scripts runs,
    by the script's name.
    """

    name: str
    is_member: bool = False
    has_docker: bool = False
    doing: Mapping[str, str] = {}

    def disks(self, storage_gib: int) -> tuple[Disk, ...]:
        """What it has beside its root disk; by default nothing.

        :param storage_gib: the profile's size of the disk for Docker's data, in GiB.
        """
        return ()

    def steps(self, driver: StorageDriver) -> tuple[Step, ...]:
        """The guest scripts that prepare it, in order; by default none."""
        return ()

    def start(self, node: Node, connection: "Connection", progress: Progress) -> None:
        """Starts what has to run in a machine that a user may have changed, and changes nothing else.

        :raises GuestError: it does not start.
        """
        return

    @abstractmethod
    def inspect(self, lab: Lab, node: Node, connection: "Connection") -> NodeFacts:
        """Looks whether a machine that can be entered is ready, and what is in it.

        :raises LabgenError: it is not.
        """
