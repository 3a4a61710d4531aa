"""From a profile to a lab: names, addresses, disks. Pure and deterministic."""

import hashlib
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from labgen.kinds import KINDS
from labgen.model import Accelerator, Box, Lab, Network, Node, Step
from labgen.storage import DRIVERS

if TYPE_CHECKING:
    from labgen.profile import NodeSpec, Profile

FIRST_HOST = 11  # nodes get .11, .12, ...; the gateway is .1
HOSTS = "hosts.sh"  # the guest script that tells the nodes each other's addresses
# The guest scripts that make a machine's certificate, start the lab's image registry, let the other nodes trust it,
# and configure a load balancer. Not among a node's steps: what they leave in a machine belongs to one lab, and must
# not be in a template.
CERTIFICATE, REGISTRY, TRUST, BALANCER = "certificate.sh", "registry.sh", "trust.sh", "balancer.sh"
# Shown to users while a guest script runs.
DOING = {
    HOSTS: "adding the names of the other nodes",
    CERTIFICATE: "making a certificate",
    REGISTRY: "starting the image registry",
    BALANCER: "configuring the load balancer",
    TRUST: "trusting the image registry",
    **{script: words for kind in KINDS.values() for script, words in kind.doing.items()},
    **{script: words for driver in DRIVERS.values() for script, words in driver.doing.items()},
}


def plan(profile: "Profile", name: str, *, subnet: str, box: Box, accelerator: Accelerator, owner: str) -> Lab:
    """Decides everything about a lab.

    :param name: the lab's. :param subnet: the lab's /24, in CIDR notation.
    :param owner: the data home's prefix, with which its objects' names begin; see
        :func:`labgen.records.data_home.owner`.
    """
    prefix = f"{owner}_{name}_"
    addresses = [str(host) for host in IPv4Network(subnet).hosts()]
    specs = profile.node_specs()
    hosts = tuple(f"{addresses[FIRST_HOST - 1 + index]}={spec.name}" for index, spec in enumerate(specs))
    nodes = tuple(
        Node(
            name=spec.name,
            kind=spec.kind,
            is_member=KINDS[spec.kind].is_member,
            role=spec.role,
            domain=prefix + spec.name,
            address=addresses[FIRST_HOST - 1 + index],
            mac=_mac(prefix, index),
            cpus=spec.cpus,
            memory_mib=spec.memory_mib,
            disk_gib=spec.disk_gib,
            disks=KINDS[spec.kind].disks(spec.storage_gib),
            labels=dict(spec.labels),
            steps=_steps(profile, spec, hosts),
            balancer=spec.balancer,
        )
        for index, spec in enumerate(specs)
    )
    return Lab(
        name=name,
        profile=profile.name,
        description=profile.description,
        prefix=prefix,
        identity=identity_of(name, owner),
        accelerator=accelerator,
        box=box,
        network=Network(prefix.rstrip("_"), f"lg{_digest(prefix)[:8]}", subnet, addresses[0]),
        storage_driver=profile.storage.driver,
        orchestrator=profile.orchestrator,
        nodes=nodes,
        registry=next((spec.name for spec in specs if KINDS[spec.kind].has_docker), "") if profile.registry else "",
    )


def scripts(lab: Lab) -> list[str]:
    """The file names of all guest scripts that a lab needs, sorted."""
    steps = {step.script for node in lab.nodes for step in node.steps}
    registry = {CERTIFICATE, REGISTRY, TRUST} if lab.registry else set()
    balancer = {BALANCER} if lab.balancers else set()
    return sorted(steps | registry | balancer | ({CERTIFICATE} if any(map(has_https, lab.balancers)) else set()))


def has_https(node: Node) -> bool:
    """Whether a load balancer needs a certificate."""
    return bool(node.balancer and any(publish.protocol == "https" for publish in node.balancer.publish))


def trusting(lab: Lab) -> tuple[Node, ...]:
    """The other nodes with Docker, which is to trust the lab's registry."""
    return tuple(node for node in lab.nodes if KINDS[node.kind].has_docker and node.name != lab.registry)


def identity_of(name: str, owner: str) -> str:
    """The text that is written into every object of a lab in libvirt."""
    return f"labgen lab {name} of {owner}"


def guest_file(script: str) -> str:
    """The file name of a profile's extra script among the lab's guest scripts."""
    return f"provision/{script}"


def doing(script: str) -> str:
    """What a guest script does, in words; for the profile's own scripts only the name is known."""
    return DOING.get(script, f"running {script.removeprefix(guest_file(''))}")


def _steps(profile: "Profile", spec: "NodeSpec", hosts: tuple[str, ...]) -> tuple[Step, ...]:
    own = KINDS[spec.kind].steps(DRIVERS[profile.storage.driver], profile.registry_mirror or "")
    extra = tuple(Step(guest_file(script)) for script in spec.provision)
    return (Step(HOSTS, hosts), *own, *extra)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _mac(prefix: str, index: int) -> str:
    """QEMU's vendor prefix, two bytes that differ between labs, and the node's number."""
    digest = _digest(prefix)
    return f"52:54:00:{digest[0:2]}:{digest[2:4]}:{index + 1:02x}"
