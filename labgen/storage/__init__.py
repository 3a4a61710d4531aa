"""The storage drivers that a profile can ask for."""

from labgen.storage.base import EngineStorage, StorageDriver
from labgen.storage.btrfs import Btrfs
from labgen.storage.overlay2 import Overlay2

DRIVERS: dict[str, StorageDriver] = {
    "btrfs": Btrfs(),
    "overlay2": Overlay2(),
}

__all__ = ["DRIVERS", "EngineStorage", "StorageDriver"]
