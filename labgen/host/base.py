"""What labgen asks of a machine that runs labs."""

from abc import ABC, abstractmethod

from labgen.hypervisor import CONNECT_LIMIT, Hypervisor
from labgen.model import Libvirt


class Host(ABC):
    """A machine that runs labs; this one is :class:`labgen.host.local.LocalHost`."""

    @property
    @abstractmethod
    def libvirt(self) -> Libvirt:
        """Where it has its machines and their disks."""

    def connect(self, limit: float = CONNECT_LIMIT) -> Hypervisor:
        """:param limit: seconds.

        :raises HostError: its libvirt does not answer.
        """
        return Hypervisor.connect(self.libvirt, limit)
