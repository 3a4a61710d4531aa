"""Puts the contents of a bundle on this host: disks and memory as volumes, and machines that use them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from labgen import disks, handoff, paths, ssh, vagrant
from labgen.bundle import Received
from labgen.domain import ROOT, Hardware, domain_xml, sizes, volumes
from labgen.errors import BundleError
from labgen.hypervisor import Hypervisor
from labgen.machines import bases, freeze, savefile
from labgen.model import Lab, Node
from labgen.progress import Amount, Progress
from labgen.render import network_xml

LARGEST_DEVICES = 128 * 2**20  # bytes that a machine's devices may have in addition to its memory


def place(lab: Lab, received: Received, with_memory: bool, hypervisor: Hypervisor, progress: Progress) -> None:
    """Creates volumes of the received disks and, if requested, the memory; and machines with them, which are off.

    :raises BundleError: a disk, a memory or the box is not valid, or there is not enough space.
    :raises LabgenError: from libvirt.
    """
    box = bases.image(received.manifest, received.parts.get(handoff.BOX_PART))
    memory = _checked(lab, received, with_memory)
    hypervisor.pool.ensure()
    _require_room(received, memory, hypervisor)
    hypervisor.ensure_network(lab.network.name, network_xml(lab))
    with bases.locked(received.manifest.box.sha256, progress):
        base = bases.place(box, received.manifest.box.sha256, hypervisor, progress)
        # One after another, and not in threads: Ctrl-C ends it here, and nothing continues in the background.
        for node in lab.nodes:
            _place_machine(
                lab, node, received, base, with_memory=with_memory, hypervisor=hypervisor, progress=progress
            )


def _checked(lab: Lab, received: Received, with_memory: bool) -> dict[str, int]:
    """Refuses invalid memory and disks. :return: the size in bytes of each machine's unpacked memory."""
    for node in lab.nodes:
        for disk, gib in sizes(node).items():
            disks.refuse_strange(received.parts[handoff.disk_part(node, disk)], gib * 2**30)
    if not with_memory:
        return {}
    return {
        node.name: disks.refuse_strange(
            received.parts[handoff.memory_part(node.name)], node.memory_mib * 2**20 + LARGEST_DEVICES
        )
        for node in lab.nodes
    }


def _require_room(received: Received, memory: Mapping[str, int], hypervisor: Hypervisor) -> None:
    """Requires space in libvirt's pool for everything, and where the bundle is unpacked for one memory at a time."""
    stored = sum(path.stat().st_size for name, path in received.parts.items() if name.startswith(("box/", "disks/")))
    unpacked = max(memory.values(), default=0)
    staging = next(iter(received.parts.values())).parent
    for place, free, needed in (
        (str(hypervisor.libvirt.directory), hypervisor.pool.free_bytes(), stored + sum(memory.values())),
        (str(staging), shutil.disk_usage(staging).free, unpacked),
    ):
        if free < needed:
            raise BundleError(
                "not enough disk space for the lab",
                f"{place} has {free / 2**30:.1f} GiB free; up to {needed / 2**30:.1f} GiB.",
                "Free some space, and import it again.",
            )


def _place_machine(
    lab: Lab,
    node: Node,
    received: Received,
    base: str,
    *,
    with_memory: bool,
    hypervisor: Hypervisor,
    progress: Progress,
) -> None:
    parts = {disk: received.parts[handoff.disk_part(node, disk)] for disk in volumes(node)}
    disks.attach(parts[ROOT], hypervisor.libvirt.path(base))
    size = sum(part.stat().st_size for part in parts.values())
    amount = Amount("storing its disks", size, progress, node.name, stage="store-disks")
    for disk, volume in volumes(node).items():
        hypervisor.pool.upload(parts[disk], volume, amount.more)
    if with_memory:
        _place_memory(node, received.parts[handoff.memory_part(node.name)], hypervisor, progress)
    machine = received.manifest.machine
    built = Hardware(machine.type, machine.slots_of(node.name)) if with_memory else Hardware()
    public_key = ssh.public_key(paths.lab(lab.name) / paths.KEY)
    uuid = hypervisor.define(domain_xml(lab, node, hypervisor.libvirt, paths.lab(lab.name), public_key, built=built))
    vagrant.know_machine(paths.lab(lab.name), node.name, uuid)
    progress.done("ready to start", node.name, stage="ready-to-start")


def _place_memory(node: Node, part: Path, hypervisor: Hypervisor, progress: Progress) -> None:
    """Memory in the form that libvirt restores. At its beginning, the receiver's own definition takes its place."""
    memory = part.with_suffix(".memory")
    amount = Amount("unpacking its memory", part.stat().st_size, progress, node.name, stage="unpack-memory")
    disks.unpacked(part, memory, amount.more)
    with memory.open("rb") as file:
        try:
            savefile.start_length(file.read(savefile.HEADER.size))
        except ValueError as error:
            raise BundleError(f"the memory of {node.name} cannot be used", str(error)) from error
    amount = Amount("storing its memory", memory.stat().st_size, progress, node.name, stage="store-memory")
    hypervisor.pool.upload(memory, freeze.memory_volume(node, freeze.RECEIVED), amount.more)
    memory.unlink()
