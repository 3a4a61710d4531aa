"""Which /24 a lab gets: one that nothing on this host uses. Pure but for :func:`host_subnets`."""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

from labgen.errors import HostError, ProfileError

DEFAULT_POOL = "10.77.0.0/16"
# Swarm's overlay networks are cut from here, not from Docker's default 10.0.0.0/8, which holds our own pool.
SWARM_POOL = "10.201.0.0/16"
# What Docker itself takes in the machines: its bridge, docker_gwbridge and user networks.
DOCKER_POOLS = ("172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "192.168.0.0/16")


def pool() -> IPv4Network:
    """Where labs' networks are cut from: ``LABGEN_SUBNET_POOL``, or 10.77.0.0/16.

    :raises HostError: the variable is no IPv4 network of at least a /24.
    """
    text = os.environ.get("LABGEN_SUBNET_POOL", DEFAULT_POOL)
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise HostError(
            "LABGEN_SUBNET_POOL is not an IPv4 network", str(error), f"Example: {DEFAULT_POOL}"
        ) from error
    if network.prefixlen > 24:
        raise HostError("LABGEN_SUBNET_POOL is too small for a /24", text, f"Example: {DEFAULT_POOL}")
    return network


def choose(wanted: str | None, taken: Iterable[str], available: IPv4Network) -> str:
    """A lab's subnet.

    :param wanted: what the profile asks for, in CIDR form. :param taken: subnets in use, in CIDR form.
    :param available: the pool to choose from if the profile leaves it open.
    :raises ProfileError: the wanted subnet overlaps another. :raises HostError: the pool is used up.
    """
    used = [IPv4Network(each, strict=False) for each in taken]
    reserved = [IPv4Network(SWARM_POOL), *map(IPv4Network, DOCKER_POOLS)]
    if wanted:
        network = IPv4Network(wanted)
        for other in [*used, *reserved]:
            if network.overlaps(other):
                raise ProfileError(
                    f"network.subnet: {wanted} overlaps {other}, which is in use",
                    "used by this host, by another lab, or by Docker and Swarm inside the machines",
                    "Leave network.subnet out and labgen finds a free one.",
                )
        return str(network)
    for network in available.subnets(new_prefix=24):
        if not any(network.overlaps(other) for other in [*used, *reserved]):
            return str(network)
    raise HostError(
        f"no free /24 is left in {available}",
        f"{len(used)} subnets are in use",
        "Destroy a lab, or set LABGEN_SUBNET_POOL to another network.",
    )


def is_free(subnet: str, taken: Iterable[str]) -> bool:
    """Whether a subnet overlaps none of those in use, nor what Docker and Swarm take in the machines."""
    others = [*(IPv4Network(each, strict=False) for each in taken), IPv4Network(SWARM_POOL)]
    return not any(IPv4Network(subnet).overlaps(other) for other in [*others, *map(IPv4Network, DOCKER_POOLS)])


def host_subnets() -> list[str]:
    """What this host's routes lead to, but for the default route; in CIDR form."""
    return [route for route in _routes(Path("/proc/net/route").read_text()) if not route.startswith("0.0.0.0/")]


def _routes(table: str) -> Iterator[str]:
    """The destinations in the kernel's table (proc(5)): hexadecimal, in the machine's byte order."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (struct.pack("=I", int(fields[index], 16)) for index in (1, 7))
        yield f"{socket.inet_ntoa(destination)}/{socket.inet_ntoa(mask)}"
