"""The addresses in use on and around a host, which no lab's subnet may overlap."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from labgen import surroundings
from labgen.errors import HostError
from labgen.host.base import Host
from labgen.hypervisor import LibvirtNetwork
from labgen.subnets import LAB_PREFIX, Use

LIMIT = 10  # seconds; ip(8) only asks the kernel


def in_use(labs: Mapping[str, str], networks: Iterable[LibvirtNetwork], host: Host) -> list[Use]:
    """All networks in use, those with the most informative owner first.

    :param labs: the subnets of this data home's labs, by name. :param networks: those of the host's libvirt.
    :raises HostError: the host's routes cannot be read.
    """
    return [
        *(_use(subnet, f"the lab {name!r}", lab=True) for name, subnet in labs.items()),
        *(_use(each, f"libvirt's network {network.name!r}") for network in networks for each in network.subnets),
        *host.addresses(),
    ]


def of_host() -> list[Use]:
    """The networks that this host is in, and those that its routes lead to, except for the default route.

    :raises HostError: they cannot be read.
    """
    return [*_own(_ask("address", "show")), *_routes(_ask("route", "show", "table", "main"))]


def _ask(*arguments: str) -> list[dict[str, Any]]:
    command = ["ip", "-json", "-4", *arguments]
    try:
        result = subprocess.run(
            command, env=surroundings.environment(), capture_output=True, text=True, timeout=LIMIT, check=True
        )
        answer: list[dict[str, Any]] = json.loads(result.stdout or "[]")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        evidence = getattr(error, "stderr", "") or str(error)
        raise HostError(
            "this host's addresses cannot be read", f"{' '.join(command)}: {evidence}", "Run: labgen doctor"
        ) from error
    return answer


def _own(interfaces: Iterable[dict[str, Any]]) -> Iterator[Use]:
    for interface in interfaces:
        for address in interface.get("addr_info", ()):
            network = f"{address['local']}/{address['prefixlen']}"
            yield _use(network, f"this host's own network on {interface['ifname']}")


def _routes(routes: Iterable[dict[str, Any]]) -> Iterator[Use]:
    for route in routes:
        if route["dst"] == "default":
            continue
        network = IPv4Network(route["dst"])
        # A route with several next hops has its devices there, and one that rejects packets has none at all.
        through = [way["dev"] for way in (route, *route.get("nexthops", ())) if "dev" in way]
        who = f"a route through {through[0]}" if through else f"a route of the kind {route.get('type', 'unknown')!r}"
        yield Use(network, who, wide=network.prefixlen < LAB_PREFIX)


def _use(network: str, who: str, *, lab: bool = False) -> Use:
    return Use(IPv4Interface(network).network, who, lab)
