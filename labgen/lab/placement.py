"""What came in a bundle takes its place on this host: disks and memory as volumes, and machines of them."""

from pathlib import Path

from labgen import boxes, disks, handoff, paths, savefile, vagrant
from labgen.bundle import Manifest, Received
from labgen.domain import Hardware, docker_volume, domain_xml, root_volume
from labgen.errors import BundleError
from labgen.hypervisor import Hypervisor
from labgen.lab import freeze
from labgen.lab.export import BOX_PART
from labgen.model import Lab, Node
from labgen.progress import Amount, Progress

LARGEST_BOX = 64 * 2**30  # bytes that a box's disk may have
LARGEST_DEVICES = 128 * 2**20  # bytes that a machine's devices may have beside its memory


def place(lab: Lab, received: Received, with_memory: bool, hypervisor: Hypervisor, progress: Progress) -> None:
    """The received disks and perhaps memory as volumes, and machines that are off and have them.

    :raises BundleError: a disk, a memory or the box is not what it should be. :raises LabgenError: as libvirt does.
    """
    hypervisor.pool.ensure()
    hypervisor.ensure_network(lab.network.name, (paths.lab(lab.name) / paths.NETWORK_XML).read_text())
    base = _place_base(received, hypervisor, progress)
    public_key = (paths.lab(lab.name) / f"{paths.KEY}.pub").read_text()

    machine = received.manifest.machine
    built = Hardware(machine.type, machine.slots) if with_memory else Hardware()
    # One after the other, and not in threads: Ctrl-C ends it here, and nothing goes on behind it.
    for node in lab.nodes:
        root, docker = (
            received.parts[name] for name in (handoff.root_part(node.name), handoff.docker_part(node.name))
        )
        disks.refuse_strange(root, node.disk_gib * 2**30)
        disks.refuse_strange(docker, node.storage_gib * 2**30)
        disks.attach(root, f"{paths.POOL_DIRECTORY}/{base}")
        amount = Amount("storing its disks", root.stat().st_size + docker.stat().st_size, progress, node.name)
        hypervisor.pool.upload(root, root_volume(node), amount.more)
        hypervisor.pool.upload(docker, docker_volume(node), amount.more)
        if with_memory:
            _place_memory(node, received.parts[handoff.memory_part(node.name)], hypervisor, progress)
        uuid = hypervisor.define(domain_xml(lab, node, paths.lab(lab.name), public_key, built))
        vagrant.know_machine(paths.lab(lab.name), node.name, uuid)
        progress.done("ready to start", node.name)


def _place_memory(node: Node, part: Path, hypervisor: Hypervisor, progress: Progress) -> None:
    """Memory as libvirt restores it. It begins where a definition belongs; the receiver's own is put there."""
    disks.refuse_strange(part, node.memory_mib * 2**20 + LARGEST_DEVICES)
    memory = part.with_suffix(".memory")
    amount = Amount("unpacking its memory", part.stat().st_size, progress, node.name)
    disks.unpacked(part, memory, amount.more)
    with memory.open("rb") as file:
        try:
            savefile.start_length(file.read(savefile.HEADER.size))
        except ValueError as error:
            raise BundleError(f"the memory of {node.name} cannot be used", str(error)) from error
    amount = Amount("storing its memory", memory.stat().st_size, progress, node.name)
    hypervisor.pool.upload(memory, freeze.memory_volume(node, freeze.RECEIVED), amount.more)
    memory.unlink()


def _place_base(received: Received, hypervisor: Hypervisor, progress: Progress) -> str:
    """The volume that the root disks are overlays of: by its digest, so that no other box can take its place."""
    box = received.manifest.box
    volume = f"{paths.RECEIVED_BOXES}{box.sha256}.img"
    if volume in hypervisor.pool.volumes(volume):
        return volume
    image = received.parts.get(BOX_PART) or _own_image(received.manifest)
    if disks.digest(image) != box.sha256:
        raise BundleError("the bundle's box is not the one that its disks belong to")
    disks.refuse_strange(image, LARGEST_BOX)
    amount = Amount("storing the box", image.stat().st_size, progress)
    hypervisor.pool.upload(image, volume, amount.more)
    return volume


def _own_image(manifest: Manifest) -> Path:
    """This host's own copy of a box that the bundle was made without."""
    for box in boxes.built(manifest.box.name):
        if box.version == manifest.box.version and disks.digest(box.image) == manifest.box.sha256:
            return box.image
    raise BundleError(
        f"the bundle was made without its box, {manifest.box.name} {manifest.box.version}, and this host has no such",
        f"sha256 of the image: {manifest.box.sha256}",
        "Ask the sender for the box's directory, or for a bundle with the box in it.",
    )
