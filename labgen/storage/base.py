"""The interface of a storage driver."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from labgen.model import Step

DISK = "docker-disk.sh"  # the guest script that creates a file system and mounts it where Docker keeps its data


@dataclass(frozen=True)
class EngineStorage:
    """What a running Docker engine reports about its storage.

    :param driver: as in ``docker info``.
    :param backing_filesystem: as in ``docker info``, e.g. ``btrfs`` or ``extfs``.
    """

    driver: str
    backing_filesystem: str


class StorageDriver(ABC):
    """One of Docker's storage drivers: how its disk is prepared, configured and checked.

    A new driver is a sibling module with a subclass, a guest script if none fits, and a line in
    :data:`labgen.storage.DRIVERS`.

    ``needs`` are the Debian packages that a box must have for it, in addition to Docker and a Debian kernel: its
    tools, and a file system that this kernel lacks. ``doing`` is what users read while one of its guest scripts runs,
    by the script's name.
    """

    name: str
    minimum_gib: int = 1
    needs: frozenset[str] = frozenset()
    doing: Mapping[str, str] = {}

    @abstractmethod
    def steps(self, serial: str) -> tuple[Step, ...]:
        """The guest scripts that prepare the disk with that serial number, before Docker starts."""

    def daemon_config(self) -> Mapping[str, object]:
        """What the driver needs in ``daemon.json``."""
        return {"storage-driver": self.name}

    @abstractmethod
    def complaint(self, storage: EngineStorage) -> str:
        """What is wrong with a running engine's storage; empty if it is as requested."""


class FilesystemDriver(StorageDriver):
    """A driver whose data is in an ordinary file system on a separate disk.

    ``filesystem`` is the one created on the disk, ``backing`` is Docker's name for it.
    """

    filesystem: str
    backing: str
    doing: Mapping[str, str] = {DISK: "preparing Docker's disk"}

    def steps(self, serial: str) -> tuple[Step, ...]:
        return (Step(DISK, (serial, self.filesystem)),)

    def complaint(self, storage: EngineStorage) -> str:
        if storage.driver != self.name:
            return f"Docker runs on {storage.driver!r}, not on {self.name!r}"
        if storage.backing_filesystem != self.backing:
            return f"Docker's data is on {storage.backing_filesystem!r}, not on {self.backing!r}"
        return ""
