"""Freezes the disks of a running machine: it writes to overlays in the meantime, which are merged afterwards.

The method is libvirt's "Efficient live full disk backup" (libvirt.org/kbase/live_full_disk_backup.html).
"""

import time
from xml.etree import ElementTree

import libvirt

from labgen.errors import HypervisorError
from labgen.hypervisor.explained import explained
from labgen.hypervisor.pool import Pool
from labgen.model import Libvirt

SUFFIX = ".overlay"  # of the volumes that a machine writes to in the meantime; their names begin with the domain's
MERGE_LIMIT = 600  # seconds for one disk
POLL = 0.1  # seconds


class Overlays:
    """Every method raises HypervisorError when libvirt refuses."""

    def __init__(self, connection: libvirt.virConnect, where: Libvirt, pool: Pool) -> None:
        self._connection = connection
        self._where = where
        self._pool = pool

    def begin(self, name: str, memory: str = "") -> None:
        """From now until :meth:`end`, the volumes of a running machine's disks do not change.

        :param memory: a new volume for the machine's memory at the same moment; empty to not save it.
        """
        xml = ElementTree.Element("domainsnapshot")
        if memory:
            ElementTree.SubElement(xml, "memory", snapshot="external", file=self._where.path(memory))
        disks = ElementTree.SubElement(xml, "disks")
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE if memory else libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        with explained(f"moving the writes of {name} to an overlay"):
            domain = self._connection.lookupByName(name)
            for device in disk_sources(domain):
                disk = ElementTree.SubElement(disks, "disk", name=device, snapshot="external")
                ElementTree.SubElement(disk, "source", file=self._where.path(f"{name}.{device}{SUFFIX}"))
            domain.snapshotCreateXML(ElementTree.tostring(xml, encoding="unicode"), flags)

    def are_there(self, name: str) -> bool:
        """Whether a machine writes to overlays, or has left some."""
        with explained(f"checking the disks of {name}"):
            sources = disk_sources(self._connection.lookupByName(name)).values()
        return any(source.endswith(SUFFIX) for source in sources) or bool(self._left_over(name))

    def end(self, name: str) -> None:
        """Merges a machine's overlays into its disks; does nothing if :meth:`begin` was not called.

        QEMU does the merge, so a machine that went off in the meantime is started paused for it. If a user saved its
        memory in the meantime, it stays paused, with that memory.
        """
        with explained(f"merging the overlay of {name}"):
            domain = self._connection.lookupByName(name)
            held = [device for device, source in disk_sources(domain).items() if source.endswith(SUFFIX)]
            is_off, is_saved = not domain.isActive(), domain.hasManagedSaveImage()
            if held and is_off:
                domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
            try:
                for device in held:
                    _merge(domain, device)
            finally:
                if held and is_off and not is_saved:
                    domain.destroy()
        for volume in self._left_over(name):
            self._pool.remove(volume)

    def _left_over(self, name: str) -> list[str]:
        return [volume for volume in self._pool.volumes(f"{name}.") if volume.endswith(SUFFIX)]


def _merge(domain: libvirt.virDomain, device: str) -> None:
    disk = _disk(domain, device)
    if disk.find("mirror") is None:  # otherwise an interrupted labgen process has started it
        # Shallow: merge into the volume directly below, whatever libvirt shows of the chain. By default the target
        # would be the lowest volume, the box that all labs share.
        flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
        domain.blockCommit(device, None, None, 0, flags)
    deadline = time.monotonic() + MERGE_LIMIT
    while (mirror := _disk(domain, device).find("mirror")) is not None and mirror.get("ready") != "yes":
        if time.monotonic() > deadline:
            raise HypervisorError(f"{domain.name()}: the disk {device} is not merged after {MERGE_LIMIT} s")
        time.sleep(POLL)
    domain.blockJobAbort(device, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)


def disk_sources(domain: libvirt.virDomain) -> dict[str, str]:
    """The files of a machine's disks, by device."""
    devices = ElementTree.fromstring(domain.XMLDesc()).findall("devices/disk[@device='disk']")  # noqa: S314 - libvirt's own
    return {_attribute(disk, "target", "dev"): _attribute(disk, "source", "file") for disk in devices}


def _disk(domain: libvirt.virDomain, device: str) -> ElementTree.Element:
    tree = ElementTree.fromstring(domain.XMLDesc())  # noqa: S314 - libvirt's own
    return next(disk for disk in tree.iter("disk") if _attribute(disk, "target", "dev") == device)


def _attribute(disk: ElementTree.Element, child: str, name: str) -> str:
    found = disk.find(child)
    return found.get(name, "") if found is not None else ""
