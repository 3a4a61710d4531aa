"""The machine that labgen itself runs on."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from labgen.host import accelerator, addresses, shaping
from labgen.host.base import Accelerator, Host
from labgen.impairment import Impairment
from labgen.model import Libvirt
from labgen.progress import Progress
from labgen.subnets import Use

_MEMINFO = Path("/proc/meminfo")
_INTERFACES = Path("/sys/class/net")


class LocalHost(Host):
    libvirt = Libvirt(
        uri="qemu:///system",
        pool="labgen",
        directory=Path("/var/lib/libvirt/labgen"),  # not in a home directory, which QEMU's own user may not enter
    )

    def accelerator(self, progress: Progress | None = None) -> Accelerator:
        return accelerator.probe(progress)

    def available_memory(self) -> int:
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) // 1024

    def free_in_pool(self) -> int:
        return shutil.disk_usage(self.libvirt.directory).free

    def addresses(self) -> list[Use]:
        return addresses.of_host()

    def has(self, path: Path) -> bool:
        return path.exists()

    def lacks_bridge(self, interface: str) -> bool:
        card = _INTERFACES / interface
        return card.exists() and not (card / "master").exists()

    def impairments(self) -> Mapping[str, Impairment]:
        return shaping.impairments()

    def impair(self, interface: str, wanted: Impairment) -> None:
        shaping.impair(interface, wanted)
