"""What labgen asks of a machine that runs labs; how it is asked, only its implementation knows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from labgen import model
from labgen.hypervisor import Hypervisor
from labgen.progress import Progress
from labgen.subnets import Use

CONNECT_LIMIT = 20  # seconds; more than a healthy libvirt ever takes


@dataclass(frozen=True)
class Accelerator:
    """The verdict on what runs the machines.

    :param reason: a clause without a full stop, e.g. ``there is no /dev/kvm``.
    :param proven: whether it has been tried, or needs no trial; otherwise it is an assumption.
    """

    kind: model.Accelerator
    reason: str
    proven: bool = True


class Host(ABC):
    """A machine that runs labs. All paths are its own."""

    @property
    @abstractmethod
    def libvirt(self) -> model.Libvirt:
        """Where it has its machines and their disks."""

    @abstractmethod
    def accelerator(self, progress: Progress | None = None) -> Accelerator:
        """Which accelerator a machine on it gets. May have to boot a kernel, at most once per boot of the host."""

    @abstractmethod
    def available_memory(self) -> int:
        """MiB that machines can have now."""

    @abstractmethod
    def free_in_pool(self) -> int:
        """Bytes that QEMU's own user can write into the pool's directory.

        :raises OSError: nobody can tell, for example because it is not there yet.
        """

    @abstractmethod
    def addresses(self) -> list[Use]:
        """The networks it is in itself, and those that its routes lead to, but for the default route.

        :raises HostError: they cannot be read.
        """

    @abstractmethod
    def has(self, path: Path) -> bool:
        """Whether there is such a file, directory or device on it."""

    @abstractmethod
    def lacks_bridge(self, interface: str) -> bool:
        """Whether it has a network interface of that name, and that is in no bridge."""

    def connect(self, limit: float = CONNECT_LIMIT) -> Hypervisor:
        """:param limit: seconds.

        :raises HostError: its libvirt does not answer.
        """
        return Hypervisor.connect(self.libvirt, self.lacks_bridge, limit)
