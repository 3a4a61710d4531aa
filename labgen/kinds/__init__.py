"""The kinds of machines in a lab."""

from labgen.kinds.base import Kind
from labgen.kinds.docker import Docker
from labgen.kinds.plain import Plain
from labgen.kinds.swarm import SwarmNode

KINDS: dict[str, Kind] = {
    "docker": Docker(),
    "plain": Plain(),
    "swarm": SwarmNode(),
}

__all__ = ["KINDS", "Kind"]
