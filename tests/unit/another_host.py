"""A host other than this machine: everything about it differs, and libvirt's test driver runs its machines."""

from ipaddress import IPv4Network
from pathlib import Path

from labgen.host.base import Accelerator, Host
from labgen.impairment import Impairment
from labgen.model import Libvirt
from labgen.progress import Progress
from labgen.subnets import Use


class AnotherHost(Host):
    """:param directory: its pool's. Everything that it reports about itself is an attribute, for tests to change."""

    def __init__(self, directory: Path) -> None:
        self.place = Libvirt("test:///default", "elsewhere", directory)
        self.verdict = Accelerator("kvm", "another machine has a processor that can")
        self.memory_mib = 1234
        self.free_bytes = 56 << 30
        self.uses = [Use(IPv4Network("10.77.0.0/17"), "another host's office")]
        self.there = {directory}
        self.loose: set[str] = set()
        self.impaired: dict[str, Impairment] = {}

    @property
    def libvirt(self) -> Libvirt:
        return self.place

    def accelerator(self, progress: Progress | None = None) -> Accelerator:
        return self.verdict

    def available_memory(self) -> int:
        return self.memory_mib

    def free_in_pool(self) -> int:
        if not self.has(self.place.directory):
            raise FileNotFoundError(self.place.directory)
        return self.free_bytes

    def addresses(self) -> list[Use]:
        return self.uses

    def has(self, path: Path) -> bool:
        return path in self.there

    def lacks_bridge(self, interface: str) -> bool:
        return interface in self.loose

    def impairments(self) -> dict[str, Impairment]:
        return self.impaired

    def impair(self, interface: str, wanted: Impairment) -> None:
        self.impaired.pop(interface, None)
        if wanted != Impairment():
            self.impaired[interface] = wanted
