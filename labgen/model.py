"""The parts of a lab, once every choice has been made. Pure data, no behaviour, no input or output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

GUEST_USER = "vagrant"  # Vagrant's convention; may use sudo without a password
REGISTRY_PORT = 5000  # of a lab's own image registry
EMULATED = "labgen-emulated"  # the SMBIOS system family by which a box's GRUB recognises software emulation

Role = Literal["manager", "worker"]
Protocol = Literal["http", "https", "tcp", "udp"]
Sticky = Literal["", "cookie", "address"]
Algorithm = Literal["round-robin", "least-connections"]
Accelerator = Literal["kvm", "tcg"]


@dataclass(frozen=True)
class Libvirt:
    """Where a host keeps its machines and their disks.

    :param uri: libvirt's connection URI. :param pool: the storage pool that all disks are in.
    :param directory: the pool's directory, on the host itself.
    """

    uri: str
    pool: str
    directory: Path

    def path(self, volume: str) -> str:
        """A volume's path, on the host itself."""
        return str(self.directory / volume)


@dataclass(frozen=True)
class Box:
    """The box that all nodes start from.

    :param name: its name in profiles, e.g. ``debian13``.
    :param vagrant_name: its name in Vagrant, e.g. ``labgen/debian13``.
    :param version: derived from the content, see :mod:`labgen.boxes`.
    """

    name: str
    vagrant_name: str
    version: str


@dataclass(frozen=True)
class Network:
    """The lab's own libvirt network.

    :param subnet: in CIDR notation, always a /24.
    :param gateway: the host's address in it, which serves DHCP and DNS.
    :param bridge: the host interface's name, at most 15 characters.
    """

    name: str
    bridge: str
    subnet: str
    gateway: str


@dataclass(frozen=True)
class Step:
    """A guest script and its arguments.

    :param script: file name below the lab's guest directory.
    """

    script: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disk:
    """A disk that a machine has in addition to its root disk.

    :param name: its name in bundles and templates. :param serial: the serial number by which the machine finds it, at
        most 20 characters (virtio's limit). :param gib: in GiB. :param holds: what is lost with it, in words.
    """

    name: str
    serial: str
    gib: int
    holds: str


@dataclass(frozen=True)
class Route:
    """Where a load balancer sends the requests to one of its ports, or some of them.

    :param service: its name, perhaps with one of its published ports, as ``shop_web:8081``; empty: the only service
        in the cluster that publishes a port.
    :param path: the beginning of the path, without a slash at its end; empty: all paths.
    :param host: the name in the request; empty: any.
    :param rewrite: what the service sees in place of ``path``, without a slash at its end.
    :param redirect: the path or URL that clients are sent to instead; then there is no service.
    """

    service: str = ""
    path: str = ""
    host: str = ""
    rewrite: str = ""
    redirect: str = ""


@dataclass(frozen=True)
class Publish:
    """A port of a load balancer.

    :param direct: to the tasks themselves instead of the nodes' mesh. :param allow: networks in CIDR notation; none:
        everybody. :param users: who has to log in, with the hashes of their passwords.
    :param redirect_from: another port, on which http is redirected to this one; 0: none.
    :param proxy_protocol: tell the backends the client's address in front of each connection.
    :param check: the path that the balancer itself requests from time to time; empty: it only connects, if anything.
    :param anonymous: do not tell clients which backend has answered.
    """

    port: int
    protocol: Protocol
    routes: tuple[Route, ...]
    direct: bool = False
    sticky: Sticky = ""
    algorithm: Algorithm = "round-robin"
    allow: tuple[str, ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    redirect_from: int = 0
    proxy_protocol: bool = False
    check: str = ""
    anonymous: bool = False


@dataclass(frozen=True)
class Balancer:
    """What a load balancer does.

    :param program: see :mod:`labgen.balancers`. :param statistics: the port of its page of statistics; 0: none.
    """

    program: str
    publish: tuple[Publish, ...]
    statistics: int = 0


@dataclass(frozen=True)
class Node:
    """One machine.

    :param kind: its purpose; see :mod:`labgen.kinds`. :param is_member: whether it is part of the lab's cluster.
    :param role: empty for a machine outside the cluster. :param domain: its name in libvirt.
    :param memory_mib: in MiB. :param disk_gib: root disk in GiB. :param disks: the other disks, in the machine's
        order.
    :param labels: given to the orchestrator's node.
    :param steps: the scripts that prepare the machine after its first boot, in order.
    :param balancer: what it does if it is a load balancer.
    """

    name: str
    kind: str
    is_member: bool
    role: Role | Literal[""]
    domain: str
    address: str
    mac: str
    cpus: int
    memory_mib: int
    disk_gib: int
    disks: tuple[Disk, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    balancer: Balancer | None = None


@dataclass(frozen=True)
class NodeFacts:
    """Facts found in a machine when it was verified; empty for anything that the machine does not have."""

    storage_driver: str
    backing_filesystem: str
    engine_version: str
    kernel: str


@dataclass(frozen=True)
class Lab:
    """A planned lab: names, addresses, disks and versions are all decided.

    :param prefix: the start of every domain's and volume's name.
    :param identity: written into every object in libvirt, to tell ours from others'.
    :param registry: the name of the node that has the lab's own image registry; empty: there is none.
    """

    name: str
    profile: str
    description: str
    prefix: str
    identity: str
    accelerator: Accelerator
    box: Box
    network: Network
    storage_driver: str
    orchestrator: str
    nodes: tuple[Node, ...]
    registry: str = ""

    @property
    def registry_name(self) -> str:
        """The lab's registry in the names of images, e.g. ``manager1:5000``; empty: there is none."""
        return f"{self.registry}:{REGISTRY_PORT}" if self.registry else ""

    @property
    def registry_address(self) -> str:
        """The lab's registry as this host reaches it, e.g. ``10.77.0.11:5000``; empty: there is none."""
        return f"{self.node(self.registry).address}:{REGISTRY_PORT}" if self.registry else ""

    @property
    def members(self) -> tuple[Node, ...]:
        """The nodes that belong to the cluster."""
        return tuple(node for node in self.nodes if node.is_member)

    @property
    def balancers(self) -> tuple[Node, ...]:
        """The nodes that are load balancers."""
        return tuple(node for node in self.nodes if node.balancer)

    @property
    def managers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.members if node.role == "manager")

    def node(self, name: str) -> Node:
        """:raises KeyError: the lab has no such node."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
