"""``export``: a lab as one file, for another user's host."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labgen import bundle, disks, handoff, paths
from labgen.bundle import Depth
from labgen.errors import UsageError
from labgen.machines import access, copies, outgoing, parts
from labgen.machines.opened import Opened, opened
from labgen.model import Lab
from labgen.progress import Progress


@dataclass(frozen=True)
class Exported:
    """:param size: in bytes. :param paused: seconds that the machines were paused; None if none was running."""

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

    :param depth: see docs/handoff.md. :param with_box: include the box's image.
    :param with_secrets: include the lab's private key. :param sign: an OpenSSH private key.
    :raises UsageError: there is no such lab, its state does not allow an export, or the file exists.
    :raises HypervisorError: a machine or a disk is missing.
    :raises LabgenError: from libvirt, the machines or the disk; no part of the file is left then.
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
                copies.require_space(lab.plan, lab.hypervisor, work, file.resolve().parent, with_memory)
                paused = copies.copy_machines(lab, work, with_memory)
                base = disks.digest(work / "base.qcow2")
                sources = outgoing.disk_parts(lab.plan, work, lab.progress, with_box)
                if with_memory:
                    sources |= outgoing.memory_parts(lab.plan, work, lab.progress)
                machines = handoff.node_boxes(lab.plan, outgoing.disk_digests(lab.plan, sources))
            sources = {**outgoing.text_parts(lab.plan, machines, with_secrets), **sources}
            manifest = outgoing.manifest(lab.plan, depth, base, lab.hypervisor)
            bundle.write(file, manifest, sources, lab.progress, executable={handoff.UP}, sign=sign)
        return Exported(file.stat().st_size, paused)


def _refuse_bad_place(file: Path) -> None:
    """Checks the target before the work, not after it."""
    if os.path.lexists(file):
        raise UsageError(f"{file} exists already", resolution="Choose another name, or remove it.")
    directory = file.resolve().parent
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}", resolution="Create it, or choose another one.")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"{directory} is not writable", resolution="Choose another directory with -o.")


def _refuse_bad_names(lab: Lab) -> None:
    """A bundle's names are stricter than a profile's."""
    if unfit := bundle.unfit_names(lab.name, outgoing.script_parts(lab)):
        raise UsageError(
            "the lab's scripts have names that a bundle cannot store",
            "\n".join(unfit),
            "Each part of a path: at most 100 characters, and no dot in front; no two that differ in case alone.",
        )


@contextmanager
def _workshop(name: str) -> Iterator[Path]:
    """The directory in which the parts are created; leftovers of a killed export are removed."""
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
    if depth == "running" and (down := lab.with_link_down()):
        raise access.link_down(lab.plan, down)  # the receiver's machine would resume with it, unseen by libvirt
