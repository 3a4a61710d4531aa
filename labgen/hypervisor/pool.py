"""The libvirt pool that all labs' disks are in, and its volumes."""

import contextlib
import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import libvirt

from labgen.errors import HypervisorError
from labgen.hypervisor.explained import explained
from labgen.model import Libvirt
from labgen.paths import PROBE

UPLOAD_LIMIT = 600  # seconds that another process's upload may take


class Pool:
    """Defined and started on first use. Every method raises HypervisorError when libvirt refuses."""

    def __init__(self, connection: libvirt.virConnect, where: Libvirt) -> None:
        self._connection = connection
        self._where, self._name = where, where.pool

    def ensure(self) -> None:
        """Defines and starts it, unless it is."""
        with explained(f"creating the storage pool {self._name}"):
            self._opened()

    def is_there(self) -> bool:
        """Whether libvirt knows it; it is not made for that."""
        with explained(f"checking for the storage pool {self._name}"):
            return self._name in {pool.name() for pool in self._connection.listAllStoragePools()}

    def free_bytes(self) -> int:
        with explained(f"checking the storage pool {self._name}"):
            pool = self._opened()
            _refresh(pool)
            return int(pool.info()[3])

    def probe_write(self) -> None:
        """Creates a small volume and removes it."""
        xml = f"<volume><name>{PROBE}</name><capacity unit='KiB'>64</capacity></volume>"
        with explained(f"writing to the storage pool {self._name}"):
            pool = self._opened()
            if PROBE in pool.listVolumes():
                pool.storageVolLookupByName(PROBE).delete()
            pool.createXML(xml).delete()

    def volumes(self, prefix: str) -> list[str]:
        """The names of the pool's volumes that start with the prefix."""
        with explained(f"listing the volumes of {self._name}"):
            pool = self._opened()
            _refresh(pool)
            return sorted(name for name in pool.listVolumes() if name.startswith(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The space on disk of the volumes whose names start with the prefix, by name."""
        with explained(f"listing the volumes of {self._name}"):
            pool = self._opened()
            _refresh(pool)
            return {each.name(): each.info()[2] for each in pool.listAllVolumes() if each.name().startswith(prefix)}

    def download(self, volume: str, target: Path, moved: Callable[[int], None]) -> None:
        """Copies a volume's bytes, as they are in the pool, to a new file.

        :param moved: called with the size of each piece in bytes.
        """
        with explained(f"reading the volume {volume}"), target.open("xb") as file:

            def take(_stream: libvirt.virStream, data: bytes, _opaque: None) -> int:
                moved(len(data))
                return file.write(data)

            self._receive(volume, 0, take)

    def digest(self, volume: str, moved: Callable[[int], None]) -> str:
        """The sha256 of a volume's bytes, as they are in the pool.

        :param moved: called with the size of each piece in bytes.
        """
        sha256 = hashlib.sha256()

        def take(_stream: libvirt.virStream, data: bytes, _opaque: None) -> int:
            moved(len(data))
            sha256.update(data)
            return len(data)

        with explained(f"reading the volume {volume}"):
            self._receive(volume, 0, take)
        return sha256.hexdigest()

    def read_start(self, volume: str, length: int) -> bytes:
        """A volume's first bytes."""
        pieces: list[bytes] = []
        with explained(f"reading the volume {volume}"):
            self._receive(volume, length, lambda _stream, data, _opaque: pieces.append(data))
        return b"".join(pieces)

    def write_start(self, volume: str, data: bytes) -> None:
        """Replaces a volume's first bytes."""
        rest = io.BytesIO(data)
        with explained(f"writing the volume {volume}"):
            stream = self._connection.newStream()
            self._opened().storageVolLookupByName(volume).upload(stream, 0, len(data))
            stream.sendAll(lambda _stream, length, _opaque: rest.read(length), None)
            stream.finish()

    def create(self, volume: str, gib: int, backing: str = "") -> None:
        """Creates an empty disk, or an overlay of another volume.

        :param gib: its size, in GiB. :param backing: the volume to overlay; empty for none.
        """
        xml = ElementTree.Element("volume")
        ElementTree.SubElement(xml, "name").text = volume
        ElementTree.SubElement(xml, "capacity", unit="GiB").text = str(gib)
        ElementTree.SubElement(ElementTree.SubElement(xml, "target"), "format", type="qcow2")
        if backing:
            below = ElementTree.SubElement(xml, "backingStore")
            ElementTree.SubElement(below, "path").text = self._where.path(backing)
            ElementTree.SubElement(below, "format", type="qcow2")
        with explained(f"creating the volume {volume}"):
            self._opened().createXML(ElementTree.tostring(xml, encoding="unicode"))

    def upload(self, source: Path, volume: str, moved: Callable[[int], None]) -> None:
        """Creates a volume from a disk image's bytes, from which libvirt then detects its format."""
        size = source.stat().st_size
        xml = ElementTree.Element("volume")
        ElementTree.SubElement(xml, "name").text = volume
        ElementTree.SubElement(xml, "capacity", unit="bytes").text = str(size)
        ElementTree.SubElement(xml, "allocation", unit="bytes").text = "0"
        with explained(f"writing the volume {volume}"), source.open("rb") as file:
            pool = self._opened()
            stream = self._connection.newStream()
            pool.createXML(ElementTree.tostring(xml, encoding="unicode")).upload(stream, 0, size)

            def give(_stream: libvirt.virStream, length: int, _opaque: None) -> bytes:
                data = file.read(length)
                moved(len(data))
                return data

            stream.sendAll(give, None)
            stream.finish()
            _refresh(pool)

    def backing(self, name: str) -> str:
        """The name of the volume that one is an overlay of; empty if it stands for itself."""
        with explained(f"checking the volume {name}"):
            xml = self._opened().storageVolLookupByName(name).XMLDesc()
        path = ElementTree.fromstring(xml).findtext("backingStore/path") or ""  # noqa: S314 - libvirt's own
        return path.rpartition("/")[2]

    def fingerprint(self, volume: str) -> str:
        """Another one once the volume's bytes have changed: its size and the time of its last change."""
        with explained(f"checking the volume {volume}"):
            tree = ElementTree.fromstring(self._opened().storageVolLookupByName(volume).XMLDesc())  # noqa: S314 - libvirt's own
        return f"{tree.findtext('physical')} {tree.findtext('target/timestamps/mtime')}"

    def backings(self) -> set[str]:
        """The names of the volumes that are backing volumes of others."""
        return set(self.overlays().values())

    def overlays(self) -> dict[str, str]:
        """The names of the volumes that are overlays, with the names of their backing volumes."""
        with explained(f"listing the volumes of {self._name}"):
            xmls = {volume.name(): volume.XMLDesc() for volume in self._opened().listAllVolumes()}
        paths = {name: ElementTree.fromstring(xml).findtext("backingStore/path") for name, xml in xmls.items()}  # noqa: S314 - libvirt's own
        return {name: path.rpartition("/")[2] for name, path in paths.items() if path}

    def remove(self, name: str) -> None:
        with explained(f"removing the volume {name}"):
            self._opened().storageVolLookupByName(name).delete()

    def dissolve(self) -> None:
        """Removes the pool itself and its directory; files that libvirt does not recognise as volumes are kept.

        :raises HypervisorError: there is a volume in it.
        """
        with explained(f"removing the storage pool {self._name}"):
            pool = self._opened()
            _refresh(pool)
            if volumes := pool.listVolumes():
                raise HypervisorError(f"the storage pool {self._name} is not empty", "\n".join(volumes))
            pool.destroy()
            with contextlib.suppress(libvirt.libvirtError):
                pool.delete()  # its directory, if it is empty
            pool.undefine()

    def _receive(self, volume: str, length: int, take: Callable[[libvirt.virStream, bytes, None], object]) -> None:
        """:param length: bytes from the beginning; 0 for all."""
        stream = self._connection.newStream()
        self._opened().storageVolLookupByName(volume).download(stream, 0, length)
        stream.recvAll(take, None)
        stream.finish()

    def _opened(self) -> libvirt.virStoragePool:
        known = {pool.name(): pool for pool in self._connection.listAllStoragePools()}
        pool = known.get(self._name)
        if pool is None:
            pool = self._connection.storagePoolDefineXML(_pool_xml(self._where))
            pool.setAutostart(1)
        if not pool.isActive():
            pool.build()  # its directory, if it does not exist
            pool.create()
        return pool


def _pool_xml(where: Libvirt) -> str:
    pool = ElementTree.Element("pool", type="dir")
    ElementTree.SubElement(pool, "name").text = where.pool
    ElementTree.SubElement(ElementTree.SubElement(pool, "target"), "path").text = str(where.directory)
    return ElementTree.tostring(pool, encoding="unicode")


def _refresh(pool: libvirt.virStoragePool) -> None:
    """Lets libvirt rescan the pool's directory, which it refuses while a process is uploading to it."""
    deadline = time.monotonic() + UPLOAD_LIMIT
    while True:
        try:
            pool.refresh()
            return
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
