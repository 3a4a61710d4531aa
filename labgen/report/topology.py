"""The parts of a lab and how they are connected: what a picture, a diagram or a script is made of. Pure data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labgen.records.inspections import InspectedNetwork, InspectedService


@dataclass(frozen=True)
class Machine:
    """:param kind: what it is for; see :mod:`labgen.kinds`. :param role: in the cluster; empty: it is outside.

    :param state: of the machine, e.g. running. :param member: of the node in the cluster, e.g. ``ready, active``;
        empty: unknown.
    :param tasks: the names of those that run there.
    """

    name: str
    kind: str
    role: str
    address: str
    state: str = ""
    member: str = ""
    leader: bool = False
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A network of containers. :param services: that are attached to it."""

    name: str
    driver: str
    services: tuple[str, ...] = ()
    encrypted: bool = False


@dataclass(frozen=True)
class Published:
    """A port at which a service answers. :param mode: ``ingress``: on all nodes; ``host``: where its tasks run."""

    service: str
    port: int
    target: int
    protocol: str
    mode: str


@dataclass(frozen=True)
class Topology:
    """:param subnet: of the machines. :param gateway: the host's address in it.

    :param partial: why it is not known what runs; empty: it is.
    """

    lab: str
    subnet: str
    gateway: str
    machines: tuple[Machine, ...] = ()
    networks: tuple[Network, ...] = ()
    ports: tuple[Published, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict)  # their images
    partial: str = ""


def attached(networks: Iterable[InspectedNetwork], services: Sequence[InspectedService]) -> tuple[Network, ...]:
    """The networks, each with the services that are in it."""
    return tuple(
        Network(
            net.name, net.driver, tuple(each.name for each in services if net.name in each.networks), net.encrypted
        )
        for net in networks
    )


def published(services: Iterable[InspectedService]) -> tuple[Published, ...]:
    return tuple(
        Published(service.name, port.published, port.target, port.protocol, port.mode)
        for service in services
        for port in service.ports
        if port.published
    )


def images(services: Iterable[InspectedService]) -> dict[str, str]:
    """By the services' names; with the digests by which they are pinned."""
    return {each.name: f"{each.image}{f'@{each.digest}' if each.digest else ''}" for each in services}
