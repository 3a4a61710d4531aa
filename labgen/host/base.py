"""The interface of a machine that runs labs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labgen import model
from labgen.hypervisor import Hypervisor
from labgen.impairment import Impairment
from labgen.progress import Progress
from labgen.subnets import Use

CONNECT_LIMIT = 20  # seconds; longer than a healthy libvirt ever takes


@dataclass(frozen=True)
class Accelerator:
    """The verdict on whether machines run on KVM or by emulation.

    :param reason: a clause without a full stop, e.g. ``there is no /dev/kvm``.
    :param proven: whether it was tried, or does not need to be; otherwise it is an assumption.
    """

    kind: model.Accelerator
    reason: str
    proven: bool = True


class Host(ABC):
    """A machine that runs labs. All paths are paths on that machine."""

    @property
    @abstractmethod
    def libvirt(self) -> model.Libvirt:
        """Where it keeps its machines and their disks."""

    @abstractmethod
    def accelerator(self, progress: Progress | None = None) -> Accelerator:
        """Which accelerator its machines get. May have to boot a kernel, at most once per boot of the host."""

    @abstractmethod
    def available_memory(self) -> int:
        """The memory that machines can use now, in MiB."""

    @abstractmethod
    def free_in_pool(self) -> int:
        """How many bytes QEMU's own user can write to the pool's directory.

        :raises OSError: this is unknown, for example because the directory does not exist yet.
        """

    @abstractmethod
    def addresses(self) -> list[Use]:
        """The networks that it is in, and those that its routes lead to, except for the default route.

        :raises HostError: they cannot be read.
        """

    @abstractmethod
    def has(self, path: Path) -> bool:
        """Whether such a file, directory or device exists on it."""

    @abstractmethod
    def lacks_bridge(self, interface: str) -> bool:
        """Whether it has a network interface of that name that is not in a bridge."""

    @abstractmethod
    def impairments(self) -> Mapping[str, Impairment]:
        """What it does to packets that leave through each of its network interfaces, where that is something.

        :raises HostError: this cannot be read.
        """

    @abstractmethod
    def impair(self, interface: str, wanted: Impairment) -> None:
        """Sets what it does to packets that leave through an interface; a failed change changes nothing.

        :raises HostError: its kernel lacks a part, or only root may do this.
        """

    def connect(self, limit: float = CONNECT_LIMIT) -> Hypervisor:
        """Opens a connection to its libvirt. :param limit: seconds.

        :raises HostError: its libvirt does not answer.
        """
        return Hypervisor.connect(self.libvirt, self.lacks_bridge, limit)
