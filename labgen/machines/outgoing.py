"""The parts of a bundle, created from a lab's files and from the copies of its disks and memory."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from labgen import boxes, bundle, disks, handoff, paths
from labgen.bundle import BoxFacts, Depth, Machine, Manifest
from labgen.domain import ROOT, hardware, volumes
from labgen.files import read_text
from labgen.hypervisor import Hypervisor
from labgen.machines import savefile
from labgen.model import Lab
from labgen.plan import plan, scripts
from labgen.profile import parse
from labgen.progress import Amount, Progress
from labgen.render import NodeBox


def disk_parts(lab: Lab, work: Path, progress: Progress, with_box: bool) -> dict[str, Path | bytes]:
    """The disks, compressed; of the root disks, only the differences from the box.

    :param work: where :mod:`labgen.machines.copies` has put the copies, which are removed one by one.
    """
    parts: dict[str, Path | bytes] = {handoff.BOX_PART: work / "base.qcow2"} if with_box else {}
    for node in lab.nodes:
        copies = {disk: work / f"{node.name}.{disk}.copy" for disk in volumes(node)}
        size = sum(copy.stat().st_size for copy in copies.values())
        amount = Amount("compressing its disks", size, progress, node.name, stage="compress-disks")
        for disk, copy in copies.items():
            part = parts[handoff.disk_part(node, disk)] = copy.with_suffix(".qcow2")
            if disk == ROOT:
                disks.delta(copy, work / "base.qcow2", part, amount.more)
            else:
                disks.whole(copy, part, amount.more)
            copy.unlink()
        progress.done("disks compressed", node.name, stage="compress-disks")
    return parts


def disk_digests(lab: Lab, sources: Mapping[str, Path | bytes]) -> dict[str, str]:
    """The sha256 of each disk's part, by the part's name."""
    names = [part for node in lab.nodes for part in handoff.disk_parts(node)]
    return {name: disks.digest(source) for name in names if isinstance(source := sources[name], Path)}


def memory_parts(lab: Lab, work: Path, progress: Progress) -> dict[str, Path | bytes]:
    """The memory without the sender's definitions: each receiver creates its own."""
    parts: dict[str, Path | bytes] = {}
    for node in lab.nodes:
        memory = work / f"{node.name}.memory"
        with memory.open("r+b") as file:
            length = savefile.start_length(file.read(savefile.HEADER.size))
            file.seek(0)
            start = file.read(length)
            file.seek(0)
            file.write(savefile.redefined(start, ""))
        parts[handoff.memory_part(node.name)] = memory.with_suffix(".qcow2")
        size = memory.stat().st_size
        amount = Amount("compressing its memory", size, progress, node.name, stage="compress-memory")
        disks.packed(memory, memory.with_suffix(".qcow2"), amount.more)
        memory.unlink()
        progress.done("memory compressed", node.name, stage="compress-memory")
    return parts


def text_parts(lab: Lab, machines: dict[str, NodeBox], with_secrets: bool) -> dict[str, Path | bytes]:
    """The profile, its scripts, and the files that bring the lab up without labgen.

    :param machines: see :func:`labgen.handoff.node_boxes`.
    """
    directory = paths.lab(lab.name)
    profile = read_text(directory / paths.PROFILE)
    parts: dict[str, Path | bytes] = {paths.PROFILE: profile.encode()}
    parts |= {name: (directory / name).read_bytes() for name in script_parts(lab)}
    parts |= {name: text.encode() for name, text in handoff.files(_neutral(lab, profile), machines).items()}
    if with_secrets:
        parts[f"secrets/{paths.KEY}"] = (directory / paths.KEY).read_bytes()
    return parts


def script_parts(lab: Lab) -> list[str]:
    """The names of the parts that are guest scripts."""
    return [f"{paths.GUEST_DIR}/{script}" for script in scripts(lab)]


def _neutral(lab: Lab, profile: str) -> Lab:
    """The lab as planned for a bundle: without the sender's prefix, and for either accelerator."""
    return plan(
        parse(profile, lab.profile).profile,
        lab.name,
        subnet=lab.network.subnet,
        box=lab.box,
        accelerator="tcg",
        owner=handoff.OWNER,
    )


def manifest(lab: Lab, depth: Depth, base: str, hypervisor: Hypervisor) -> Manifest:
    """:param base: sha256 of the box's image; empty if no disk is included."""
    machine = Machine(type="", cpu="")
    if depth != "recipe":
        slots = {node.name: dict(hardware(hypervisor.definition(node.domain)).slots) for node in lab.nodes}
        kind, processor = hypervisor.machine_type(lab.nodes[0].domain)
        machine = Machine(
            type=kind,
            cpu=processor,
            accelerator=lab.accelerator,
            processor=hypervisor.host_processor(),
            slots=slots[lab.nodes[0].name],
            other_slots={name: each for name, each in slots.items() if each != slots[lab.nodes[0].name]},
        )
    found = next((box for box in boxes.built(lab.box.name) if box.version == lab.box.version), None)
    return Manifest(
        schema_version=2 if machine.other_slots else 1,
        lab=lab.name,
        depth=depth,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        subnet=lab.network.subnet,
        tools={
            "labgen": bundle.labgen_version(),
            "qemu": hypervisor.qemu_version(),
            "libvirt": hypervisor.version(),
        },
        machine=machine,
        box=BoxFacts(
            name=lab.box.name,
            version=lab.box.version,
            sha256=base,
            packages=dict(found.lock["packages"]) if found else {},
        ),
    )
