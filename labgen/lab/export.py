"""``export``: a lab as one file, for somebody else's host."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labgen import boxes, bundle, disks, handoff, paths
from labgen.bundle import BoxFacts, Depth, Machine, Manifest
from labgen.domain import docker_volume, hardware, root_volume
from labgen.errors import BundleError, UsageError
from labgen.files import read_text
from labgen.hypervisor import Hypervisor
from labgen.machines import freeze, parts, savefile
from labgen.machines.opened import Opened, opened
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.plan import plan
from labgen.profile import parse
from labgen.progress import Amount, Progress
from labgen.render import NodeBox


@dataclass(frozen=True)
class Exported:
    """:param size: in bytes. :param paused: seconds that the machines stood still; None if none was running."""

    size: int
    paused: float | None


def export(
    name: str,
    file: Path,
    depth: Depth,
    progress: Progress,
    *,
    with_box: bool = True,
    with_secrets: bool = False,
    sign: Path | None = None,
) -> Exported:
    """Writes a lab into one file.

    :param depth: see docs/handoff.md. :param with_box: the box's image travels along.
    :param with_secrets: the lab's private key travels along. :param sign: an OpenSSH private key.
    :raises UsageError: there is no such lab, it is not in a state to be exported, or the file exists.
    :raises HypervisorError: a machine or a disk is missing.
    :raises LabgenError: as libvirt, the machines and the disk do; no part of the file is left then.
    """
    _refuse_bad_place(file)
    with opened(name, progress, finished=depth != "recipe") as lab:
        _refuse_bad_names(lab.plan)
        if depth != "recipe":
            _refuse_unfit(lab, depth)
        with _workshop(name) as work:
            sources: dict[str, Path | bytes] = {}
            paused, machines, base = None, {}, ""
            if depth != "recipe":
                with_memory = depth == "running"
                _require_space(lab.plan, lab.hypervisor, work, file.resolve().parent, with_memory)
                paused = _copy_machines(lab, work, with_memory)
                base = disks.digest(work / "base.qcow2")
                sources = _disk_parts(lab.plan, work, progress, with_box)
                if with_memory:
                    sources |= _memory_parts(lab.plan, work, progress)
                machines = handoff.node_boxes(lab.plan, _disk_digests(lab.plan, sources))
            sources = {**_text_parts(lab.plan, machines, with_secrets), **sources}
            manifest = _manifest(lab.plan, depth, base, lab.hypervisor)
            bundle.write(file, manifest, sources, progress, executable={handoff.UP}, sign=sign)
        return Exported(file.stat().st_size, paused)


def _refuse_bad_place(file: Path) -> None:
    """Before the work, not after it."""
    if os.path.lexists(file):
        raise UsageError(f"{file} exists already", resolution="Choose another name, or remove it.")
    directory = file.resolve().parent
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}", resolution="Make it, or choose another one.")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"{directory} cannot be written", resolution="Choose another directory with -o.")


def _refuse_bad_names(lab: Lab) -> None:
    """A bundle's names are stricter than a profile's."""
    if unfit := bundle.unfit_names(lab.name, _script_parts(lab)):
        raise UsageError(
            "a bundle cannot hold the lab's scripts under their names",
            "\n".join(unfit),
            "Each part of a path: at most 100 characters, and no dot in front; no two that differ in case alone.",
        )


@contextmanager
def _workshop(name: str) -> Iterator[Path]:
    """Where the parts are made; also gone if an earlier export was killed."""
    work = paths.outgoing(name)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work)


def _refuse_unfit(lab: Opened, depth: Depth) -> None:
    name, states = lab.plan.name, lab.states()
    parts.require_whole(lab.plan, lab.hypervisor)
    if "suspended" in states.values():
        raise UsageError(f"{name!r} is suspended", resolution=f"First: labgen resume {name}")
    if depth == "running" and set(states.values()) != {"running"}:
        raise UsageError(f"{name!r} is not running, or not all of it", resolution=f"First: labgen start {name}")


def _require_space(lab: Lab, hypervisor: Hypervisor, work: Path, target: Path, with_memory: bool) -> None:
    """Room for a copy of every disk and all memory, and for what is made of it, and for the bundle."""
    names = {volume for node in lab.nodes for volume in (root_volume(node), docker_volume(node))}
    sizes = hypervisor.pool.sizes("")
    size = sum(sizes.get(name, 0) for name in names) + sizes.get(_base_volume(lab, hypervisor), 0)
    if with_memory:
        memory = sum(node.memory_mib for node in lab.nodes) * 2**20
        size += memory
        if hypervisor.pool.free_bytes() < memory:
            raise BundleError(
                "libvirt's pool has too little space for the machines' memory", f"{memory / 2**30:.1f} GiB"
            )
    together = work.stat().st_dev == target.stat().st_dev
    for directory, needed in ((work, 3 * size if together else 2 * size), (target, size)):
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise BundleError(
                "there is too little disk space to export the lab",
                f"{directory} has {free / 2**30:.1f} GiB free; it takes up to {needed / 2**30:.1f} GiB.",
                "Free some, or write the bundle to another disk.",
            )


def _copy_machines(opened: Opened, work: Path, with_memory: bool) -> float | None:
    """Copies all disks, and perhaps the memory, as they are at one moment, and what the disks are overlays of.

    :return: seconds that the machines stood still; None if none was running.
    """
    lab, hypervisor, progress = opened.plan, opened.hypervisor, opened.progress
    running = freeze.running(lab, hypervisor)
    on_each({node.name: node for node in running}, lambda node: _write_back(opened, node))
    roots = {root_volume(node): work / f"{node.name}.root.copy" for node in lab.nodes}
    dockers = {docker_volume(node): work / f"{node.name}.docker.copy" for node in lab.nodes}
    with freeze.held(lab, running, hypervisor, progress, with_memory=with_memory) as paused:
        opened.set_clocks({node.name for node in running})
        _copy("copying the disks", roots | dockers, hypervisor, progress)
        if with_memory:
            memory = {freeze.memory_volume(node, freeze.OUTGOING): work / f"{node.name}.memory" for node in running}
            _copy("copying the memory", memory, hypervisor, progress)
    _copy("copying the box", {_base_volume(lab, hypervisor): work / "base.qcow2"}, hypervisor, progress)
    return paused if running else None


def _copy(text: str, volumes: Mapping[str, Path], hypervisor: Hypervisor, progress: Progress) -> None:
    """Copies volumes to files, one after the other."""
    sizes = hypervisor.pool.sizes("")
    amount = Amount(text, sum(sizes.get(volume, 0) for volume in volumes), progress)
    for volume, target in volumes.items():
        hypervisor.pool.download(volume, target, amount.more)


def _base_volume(lab: Lab, hypervisor: Hypervisor) -> str:
    """The box's volume that the root disks lie on."""
    bases = {hypervisor.pool.backing(root_volume(node)) for node in lab.nodes}
    if len(bases) != 1:
        raise BundleError(f"the root disks of {lab.name!r} do not lie on one box", "\n".join(sorted(bases)))
    return bases.pop()


def _write_back(lab: Opened, node: Node) -> None:
    """What programs have written is on the disk, not only in the machine's memory."""
    with lab.connect(node) as connection:
        connection.run(["sync"], limit=300)


def _disk_parts(lab: Lab, work: Path, progress: Progress, with_box: bool) -> dict[str, Path | bytes]:
    parts: dict[str, Path | bytes] = {handoff.BOX_PART: work / "base.qcow2"} if with_box else {}
    for node in lab.nodes:
        root, docker = work / f"{node.name}.root.copy", work / f"{node.name}.docker.copy"
        for part, copy in ((handoff.root_part(node.name), root), (handoff.docker_part(node.name), docker)):
            parts[part] = copy.with_suffix(".qcow2")
        size = root.stat().st_size + docker.stat().st_size
        amount = Amount("compressing its disks", size, progress, node.name)
        disks.delta(root, work / "base.qcow2", root.with_suffix(".qcow2"), amount.more)
        disks.whole(docker, docker.with_suffix(".qcow2"), amount.more)
        root.unlink()
        docker.unlink()
        progress.done("disks compressed", node.name)
    return parts


def _disk_digests(lab: Lab, sources: Mapping[str, Path | bytes]) -> dict[str, str]:
    names = [part(node.name) for node in lab.nodes for part in (handoff.root_part, handoff.docker_part)]
    return {name: disks.digest(source) for name in names if isinstance(source := sources[name], Path)}


def _memory_parts(lab: Lab, work: Path, progress: Progress) -> dict[str, Path | bytes]:
    """Without the sender's definitions: who goes on with it makes its own."""
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
        amount = Amount("compressing its memory", memory.stat().st_size, progress, node.name)
        disks.packed(memory, memory.with_suffix(".qcow2"), amount.more)
        memory.unlink()
        progress.done("memory compressed", node.name)
    return parts


def _text_parts(lab: Lab, machines: dict[str, NodeBox], with_secrets: bool) -> dict[str, Path | bytes]:
    directory = paths.lab(lab.name)
    profile = read_text(directory / paths.PROFILE)
    parts: dict[str, Path | bytes] = {paths.PROFILE: profile.encode()}
    parts |= {name: (directory / name).read_bytes() for name in _script_parts(lab)}
    parts |= {name: text.encode() for name, text in handoff.files(_neutral(lab, profile), machines).items()}
    if with_secrets:
        parts[f"secrets/{paths.KEY}"] = (directory / paths.KEY).read_bytes()
    return parts


def _script_parts(lab: Lab) -> list[str]:
    return [
        f"{paths.GUEST_DIR}/{script}" for script in sorted({step.script for node in lab.nodes for step in node.steps})
    ]


def _neutral(lab: Lab, profile: str) -> Lab:
    """The lab as it is planned for a bundle: without the sender's prefix, and for either accelerator."""
    return plan(
        parse(profile, lab.profile).profile,
        lab.name,
        subnet=lab.network.subnet,
        box=lab.box,
        accelerator="tcg",
        owner=handoff.OWNER,
    )


def _manifest(lab: Lab, depth: Depth, base: str, hypervisor: Hypervisor) -> Manifest:
    machine = Machine(type="", cpu="")
    if depth != "recipe":
        kind, processor = hypervisor.machine_type(lab.nodes[0].domain)
        machine = Machine(
            type=kind,
            cpu=processor,
            accelerator=lab.accelerator,
            processor=hypervisor.host_processor(),
            slots=dict(hardware(hypervisor.definition(lab.nodes[0].domain)).slots),
        )
    found = next((box for box in boxes.built(lab.box.name) if box.version == lab.box.version), None)
    return Manifest(
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
