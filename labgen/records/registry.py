"""The subnets of this data home's labs: one file, one lock."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from labgen import paths, turns
from labgen.errors import LabgenError
from labgen.records import journals
from labgen.records.record import Kind

LIMIT = 30  # seconds; it is held for less than one, or while libvirt lists its networks and defines one


@dataclass(frozen=True)
class Registry:
    """The labs' subnets (CIDR), by the labs' names."""

    subnets: Mapping[str, str] = field(default_factory=dict)

    def with_lab(self, name: str, subnet: str) -> "Registry":
        return replace(self, subnets={**self.subnets, name: subnet})

    def without_lab(self, name: str) -> "Registry":
        return replace(self, subnets={each: subnet for each, subnet in self.subnets.items() if each != name})


_KIND = Kind(Registry)


def load() -> Registry:
    """The stored registry; if it is lost or damaged, the subnets in the labs' journals."""
    try:
        found = _KIND.load(paths.registry())
        for subnet in found.subnets.values():
            IPv4Network(subnet)
        return found
    except (FileNotFoundError, ValueError):
        return Registry(dict(_in_journals()))


def _in_journals() -> Iterator[tuple[str, str]]:
    for name in journals.names():
        with contextlib.suppress(LabgenError):
            yield name, journals.load(name).lab.network.subnet


def save(registry: Registry) -> None:
    _KIND.save(paths.registry(), registry)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Held between reading and writing, so briefly that nobody has to be told to wait.

    :raises HeldError: another process holds it all the same, for example one stopped with Ctrl-Z.
    """
    paths.data_home().mkdir(parents=True, exist_ok=True)
    with turns.lock(paths.registry_lock(), LIMIT):
        yield
