"""A bundle's files for users without labgen: a Vagrant project, a script that brings it up, a page to read.

Pure. The names are neutral: nothing in them reveals the sender's host.
"""

from collections.abc import Mapping

from labgen import paths, plan
from labgen.domain import volumes
from labgen.host import LOCAL
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.render import NodeBox, network_xml, vagrantfile

OWNER = "bundle"  # the owner a lab is planned for here, in place of the sender's prefix
UP = "up"
README = "README.md"
BOX_PART = "box/box.img"


def disk_part(node: Node, disk: str) -> str:
    """Where a bundle stores a node's disk; for the root disk, only the differences from the box."""
    return f"disks/{node.name}.{disk}.qcow2"


def disk_parts(node: Node) -> list[str]:
    """Where a bundle stores a node's disks, the root disk first."""
    return [disk_part(node, disk) for disk in volumes(node)]


def memory_part(node: str) -> str:
    """Where a bundle stores a machine's memory."""
    return f"memory/{node}.qcow2"


def node_boxes(lab: Lab, digests: Mapping[str, str]) -> dict[str, NodeBox]:
    """A Vagrant box for each node, with all its disks.

    The version is derived from the disks because Vagrant does not replace a version that it already has.

    :param digests: sha256 of the bundle's parts, by name.
    """
    numbers = {node.name: [str(int(digests[part][:8], 16)) for part in disk_parts(node)] for node in lab.nodes}
    return {name: NodeBox(f"{OWNER}-{lab.name}/{name}", ".".join(["1", *each])) for name, each in numbers.items()}


def files(lab: Lab, machines: Mapping[str, NodeBox]) -> dict[str, str]:
    """The files, by relative path; ``up`` has to be executable. The host in them is the recipient's.

    :param lab: as planned for :data:`OWNER`. :param machines: a box for each node whose disks are in the
        bundle, by name; empty if there are none.
    """
    return {
        paths.VAGRANTFILE: vagrantfile(lab, LOCAL.libvirt, portable=True, machines=machines),
        paths.NETWORK_XML: network_xml(lab),
        UP: paths.handoff_script(UP).read_text() + _registry(lab) + ORCHESTRATORS[lab.orchestrator].handoff(),
        README: _page(lab, machines),
        "nodes": _nodes(lab, machines),
        "labels": "".join(
            f"{node.name} {key}={value}\n" for node in lab.members for key, value in sorted(node.labels.items())
        ),
    }


def _registry(lab: Lab) -> str:
    """The part of ``up`` that starts the lab's image registry; nothing without one."""
    if not lab.registry:
        return ""
    script = paths.handoff_script("registry").read_text().removeprefix("#!/bin/sh\n")
    trusting = " ".join(node.name for node in plan.trusting(lab))
    address = lab.node(lab.registry).address
    return f"\nplace={lab.registry_name} owner={lab.registry} address={address} trusting='{trusting}'\n{script}"


def _nodes(lab: Lab, machines: Mapping[str, NodeBox]) -> str:
    """A line for each node: name, role, address, box name and version, disks; a hyphen for a missing value."""
    lines = []
    for node in lab.nodes:
        box = machines.get(node.name, NodeBox("-", "-"))
        disks = ",".join(volumes(node)) if machines else "-"
        lines.append(f"{node.name} {node.role or '-'} {node.address} {box.name} {box.version} {disks}\n")
    return "".join(lines)


def _page(lab: Lab, machines: Mapping[str, NodeBox]) -> str:
    cluster = ORCHESTRATORS[lab.orchestrator]
    addresses = "\n".join(f"| {node.name} | {node.role or node.kind} | {node.address} |" for node in lab.nodes)
    extras = f", a {cluster.noun}" if cluster.noun else ""
    extras += f", an image registry, {lab.registry_name}" if lab.registry else ""
    show = f"    vagrant ssh {lab.nodes[0].name} -c '{cluster.show}'\n" if cluster.show else ""
    if machines:
        boot = "boots them with the disks they had when the bundle was written"
        needs = "qemu-utils"
        removal = "`vagrant destroy` also removes the boxes that `./up` makes from the disks here.\n\n"
    else:
        boot = f"boots new ones from the box {lab.box.vagrant_name} {lab.box.version}, which this host must have"
        needs = removal = ""
    return f"""# {lab.name}

{lab.description or "A lab of virtual machines."}
{len(lab.nodes)} machines, Docker on {lab.storage_driver}{extras}.

| Machine | Role | Address |
|---|---|---|
{addresses}

## With labgen

    labgen import {lab.name}.labgen && labgen start {lab.name}

## Without labgen

    ./up

{boot[0].upper()}{boot[1:]}. It needs Vagrant with its libvirt provider, and ssh; on Debian:

    sudo apt install vagrant vagrant-libvirt openssh-client {needs}

and a libvirt that answers: `virsh -c {LOCAL.libvirt.uri} list`.

Log in to a machine, {"see the cluster, " if cluster.show else ""}stop, remove:

    vagrant ssh {lab.nodes[0].name}
{show}    vagrant halt
    vagrant destroy -f

{removal}The machines let in whoever holds `id_ed25519`, a key that `./up` makes here; the sender's no longer fits.
"""
