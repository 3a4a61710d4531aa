"""The checks of running machines: one list, shown by ``status --check`` and used by ``start``."""

from labgen.health.addresses import Addresses
from labgen.health.base import Check, Finding
from labgen.health.certificate import Certificate
from labgen.health.clock import Clock
from labgen.health.cluster import Cluster
from labgen.health.docker import Docker, Storage
from labgen.health.examination import examine
from labgen.health.memory import Memory
from labgen.health.reachability import Reachability
from labgen.health.registry import Registry
from labgen.health.space import Space
from labgen.health.units import Units

CLOCK = Clock()
CHECKS: tuple[Check, ...] = (
    CLOCK,
    Certificate(),
    Space(),
    Memory(),
    Units(),
    Docker(),
    Storage(),
    Cluster(),
    Addresses(),
    Reachability(),
    Registry(),
)

__all__ = ["CHECKS", "CLOCK", "Check", "Finding", "examine"]
