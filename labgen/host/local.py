"""The machine that labgen itself runs on."""

from pathlib import Path

from labgen.host.base import Host
from labgen.model import Libvirt


class LocalHost(Host):
    libvirt = Libvirt(
        uri="qemu:///system",
        pool="labgen",
        directory=Path("/var/lib/libvirt/labgen"),  # not in a home, which QEMU's own user may not enter
    )
