"""Which /24 a lab gets: one place decides whether a subnet can be used. Pure except for :func:`pool`."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from labgen.errors import HostError, ProfileError
from labgen.orchestrators import ORCHESTRATORS

DEFAULT_POOL = "10.77.0.0/16"
# Used by Docker itself in the machines: its bridge, docker_gwbridge and user networks.
DOCKER_POOLS = ("172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "192.168.0.0/16")
LAB_PREFIX = 24
_MOST_NAMED = 5  # of the networks that use a pool's addresses


@dataclass(frozen=True)
class Use:
    """A network whose addresses are in use.

    :param who: its user, for errors, e.g. ``the lab 'other'``. :param lab: whether it is a lab.
    :param wide: a route that loses only the addresses that a lab takes: the kernel prefers the more specific route.
    """

    network: IPv4Network
    who: str
    lab: bool = False
    wide: bool = False

    def __str__(self) -> str:
        return f"{self.network} ({self.who})"


RESERVED = (
    *(
        Use(IPv4Network(network), f"{purpose} in the machines")
        for orchestrator in ORCHESTRATORS.values()
        for network, purpose in orchestrator.pools.items()
    ),
    *(Use(IPv4Network(each), "Docker's own networks in the machines") for each in DOCKER_POOLS),
)


@dataclass(frozen=True)
class Choice:
    """A lab's subnet. :param note: what its owner should know; may be empty."""

    subnet: str
    note: str = ""


def pool() -> IPv4Network:
    """The network that labs' subnets are taken from: ``LABGEN_SUBNET_POOL``, or 10.77.0.0/16.

    :raises HostError: the variable is not an IPv4 network of at least a /24.
    """
    text = os.environ.get("LABGEN_SUBNET_POOL", DEFAULT_POOL)
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise HostError(
            "LABGEN_SUBNET_POOL is not an IPv4 network", str(error), f"Example: {DEFAULT_POOL}"
        ) from error
    if network.prefixlen > LAB_PREFIX:
        raise HostError("LABGEN_SUBNET_POOL is too small for a /24", text, f"Example: {DEFAULT_POOL}")
    return network


def choose(wanted: str | None, uses: Sequence[Use], available: IPv4Network) -> Choice:
    """A lab's subnet; if possible one that no wide route covers.

    :param wanted: the subnet in the profile, in CIDR notation.
    :param available: the pool to choose from if the profile specifies none.
    :raises ProfileError: the wanted subnet is in use. :raises HostError: the pool is used up.
    """
    if wanted:
        if other := conflict(wanted, uses):
            raise ProfileError(
                f"network.subnet: {wanted} overlaps {other.network}, which is in use",
                f"{other.network} belongs to {other.who}",
                "Leave network.subnet out, and labgen chooses a free one.",
            )
        return _noted(wanted, uses)
    free = (str(network) for network in _free(available, uses))
    first = next(free, None)
    if first is None:
        raise _used_up(available, uses)
    return _noted(next((each for each in (first, *free) if not covering(each, uses)), first), uses)


def conflict(subnet: str, uses: Iterable[Use]) -> Use | None:
    """The first use of a subnet's addresses that keeps a lab from having it."""
    network = IPv4Network(subnet)
    return next((use for use in (*RESERVED, *uses) if not use.wide and use.network.overlaps(network)), None)


def covering(subnet: str, uses: Iterable[Use]) -> Use | None:
    """The narrowest route that would lose addresses to a lab in this subnet."""
    network = IPv4Network(subnet)
    routes = (use for use in uses if use.wide and use.network.overlaps(network))
    return max(routes, key=lambda use: use.network.prefixlen, default=None)


def _noted(subnet: str, uses: Iterable[Use]) -> Choice:
    route = covering(subnet, uses)
    if route is None:
        return Choice(subnet)
    return Choice(
        subnet,
        f"{subnet} lies within {route.network}, {route.who}: while the lab's network is up, these addresses lead to "
        "the lab. If you need them elsewhere, set LABGEN_SUBNET_POOL to another network",
    )


def _free(available: IPv4Network, uses: Iterable[Use]) -> Iterator[IPv4Network]:
    others = [use.network for use in (*RESERVED, *uses) if not use.wide and use.network.overlaps(available)]
    for network in available.subnets(new_prefix=LAB_PREFIX):
        if not any(network.overlaps(other) for other in others):
            yield network


def _used_up(available: IPv4Network, uses: Sequence[Use]) -> HostError:
    """The error that lists who uses the pool, the largest parts first."""
    found = {use.network: use for use in reversed((*RESERVED, *uses)) if not use.wide}
    blocking = sorted(
        (use for use in found.values() if use.network.overlaps(available)), key=lambda use: use.network.prefixlen
    )
    lines = [str(use) for use in blocking[:_MOST_NAMED]]
    if len(blocking) > _MOST_NAMED:
        lines.append(f"... and {len(blocking) - _MOST_NAMED} more")
    ways = []
    if other := _another_pool(uses):
        ways.append(f"use another network: export LABGEN_SUBNET_POOL={other}")
    if any(use.lab for use in blocking):
        ways.append("destroy a lab that you no longer need: labgen list")
    advice = "; or ".join(ways) or "set LABGEN_SUBNET_POOL to a network that is not used on this host"
    return HostError(
        f"no free /24 is left in {available}",
        "\n".join(lines),
        f"{advice[0].upper()}{advice[1:]}",
    )


def _another_pool(uses: Sequence[Use]) -> IPv4Network | None:
    """A private network of which no part is in use; if possible one that no wide route covers."""
    candidates = [
        network
        for network in (*IPv4Network("10.0.0.0/8").subnets(new_prefix=16), IPv4Network("172.16.0.0/16"))
        if not conflict(str(network), uses)
    ]
    return next((each for each in candidates if not covering(str(each), uses)), next(iter(candidates), None))
