"""Docker on overlay2: layers are directories, stacked by the kernel's overlay file system over ext4."""

from labgen.storage.base import FilesystemDriver


class Overlay2(FilesystemDriver):
    name = "overlay2"
    filesystem = "ext4"
    backing = "extfs"  # docker info's name for ext2, ext3 and ext4
    needs = frozenset({"e2fsprogs"})
