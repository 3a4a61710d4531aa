"""Copies of a lab's disks and memory at one moment, for a bundle."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from labgen.domain import root_volume, volumes
from labgen.errors import BundleError
from labgen.hypervisor import Hypervisor
from labgen.machines import freeze
from labgen.machines.opened import Opened
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.progress import Amount, Progress


def require_space(lab: Lab, hypervisor: Hypervisor, work: Path, target: Path, with_memory: bool) -> None:
    """Requires space for a copy of every disk and all memory, for the parts made from them, and for the bundle.

    :param work: the copies' directory. :param target: the bundle's directory. :raises BundleError: it is not enough.
    """
    names = {volume for node in lab.nodes for volume in volumes(node).values()}
    sizes = hypervisor.pool.sizes("")
    size = sum(sizes.get(name, 0) for name in names) + sizes.get(_base_volume(lab, hypervisor), 0)
    if with_memory:
        memory = sum(node.memory_mib for node in lab.nodes) * 2**20
        size += memory
        if hypervisor.pool.free_bytes() < memory:
            raise BundleError(
                "not enough space in libvirt's pool for the machines' memory", f"{memory / 2**30:.1f} GiB"
            )
    together = work.stat().st_dev == target.stat().st_dev
    for directory, needed in ((work, 3 * size if together else 2 * size), (target, size)):
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise BundleError(
                "not enough disk space to export the lab",
                f"{directory} has {free / 2**30:.1f} GiB free; up to {needed / 2**30:.1f} GiB.",
                "Free some space, or write the bundle to another disk.",
            )


def copy_machines(opened: Opened, work: Path, with_memory: bool) -> float | None:
    """Copies all disks at one moment, optionally with the memory, and the base of the root disks.

    :param work: the copies' directory. :return: seconds that the machines were paused; None if none was running.
    """
    lab, hypervisor, progress = opened.plan, opened.hypervisor, opened.progress
    running = freeze.running(lab, hypervisor)
    on_each({node.name: node for node in running}, lambda node: _write_back(opened, node))
    disks = {
        volume: work / f"{node.name}.{disk}.copy" for node in lab.nodes for disk, volume in volumes(node).items()
    }
    with freeze.held(lab, running, hypervisor, progress, with_memory=with_memory) as paused:
        opened.set_clocks({node.name for node in running})
        _copy("disks", disks, hypervisor, progress)
        if with_memory:
            memory = {freeze.memory_volume(node, freeze.OUTGOING): work / f"{node.name}.memory" for node in running}
            _copy("memory", memory, hypervisor, progress)
    _copy("box", {_base_volume(lab, hypervisor): work / "base.qcow2"}, hypervisor, progress)
    return paused if running else None


def _copy(what: str, volumes: Mapping[str, Path], hypervisor: Hypervisor, progress: Progress) -> None:
    """Copies volumes to files, one after another."""
    sizes = hypervisor.pool.sizes("")
    total = sum(sizes.get(volume, 0) for volume in volumes)
    amount = Amount(f"copying the {what}", total, progress, stage=f"copy-{what}")
    for volume, target in volumes.items():
        hypervisor.pool.download(volume, target, amount.more)


def _base_volume(lab: Lab, hypervisor: Hypervisor) -> str:
    """The box's volume that the root disks are based on."""
    bases = {hypervisor.pool.backing(root_volume(node)) for node in lab.nodes}
    if len(bases) != 1:
        raise BundleError(f"the root disks of {lab.name!r} are not based on one box", "\n".join(sorted(bases)))
    return bases.pop()


def _write_back(lab: Opened, node: Node) -> None:
    """Ensures that programs' writes are on the disk, not only in the machine's memory."""
    with lab.connect(node) as connection:
        connection.run(["sync"], limit=300)
