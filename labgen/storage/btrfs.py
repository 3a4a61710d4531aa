"""Docker on btrfs: layers are subvolumes and snapshots."""

from labgen.storage.base import FilesystemDriver


class Btrfs(FilesystemDriver):
    name = "btrfs"
    filesystem = "btrfs"
    backing = "btrfs"
    needs = frozenset({"btrfs-progs"})
