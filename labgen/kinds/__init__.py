"""The kinds of machines in a lab."""

from labgen.kinds.balancer import LoadBalancer
from labgen.kinds.base import Kind
from labgen.kinds.docker import Docker
from labgen.kinds.plain import Plain
from labgen.kinds.swarm import SwarmNode

KINDS: dict[str, Kind] = {
    "balancer": LoadBalancer(),
    "docker": Docker(),
    "plain": Plain(),
    "swarm": SwarmNode(),
}

__all__ = ["KINDS", "Kind"]
