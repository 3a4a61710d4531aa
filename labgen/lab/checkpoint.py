"""``checkpoint``: the whole lab at one moment, disks and memory, to be restored later."""

import re
from dataclasses import replace

from labgen import paths
from labgen.errors import HypervisorError, UsageError
from labgen.files import require_writable
from labgen.machines import freeze, net, parts
from labgen.machines.bringup import bring_up
from labgen.machines.opened import Opened, opened
from labgen.machines.seen import seen
from labgen.progress import Progress
from labgen.records import checkpoints
from labgen.records.checkpoints import Checkpoint

LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def save(name: str, label: str, progress: Progress) -> Checkpoint:
    """Saves the lab as it is now; its machines are paused for some seconds.

    :raises UsageError: there is no such lab, it is suspended or incomplete, or the label is taken.
    :raises HypervisorError: a machine or a disk is missing; nothing was changed.
    :raises LabgenError: from libvirt or the machines; the lab is then resumed, and there is no checkpoint.
    """
    if not LABEL.fullmatch(label):
        raise UsageError(
            f"{label!r} is not a valid label",
            resolution="Use up to 40 lower-case letters, digits and hyphens, for example before-upgrade.",
        )
    with opened(name, progress, finished=True) as lab:
        if "suspended" in lab.states().values():
            raise UsageError(f"{name!r} is suspended", resolution=f"First: labgen resume {name}")
        if any(each.label == label for each in checkpoints.every(name)):
            raise UsageError(
                f"{name!r} already has a checkpoint named {label!r}",
                resolution=f"Choose another label, or: labgen checkpoint delete {name} {label}",
            )
        require_writable(paths.lab(name))
        parts.require_whole(lab.plan, lab.hypervisor)
        running = freeze.running(lab.plan, lab.hypervisor)
        checkpoint = checkpoints.begun(label, tuple(node.name for node in running))
        checkpoints.save(name, checkpoint)
        try:
            with net.kept(lab):
                freeze.keep(lab.plan, checkpoint, lab.hypervisor, lab.progress)
        except BaseException:
            lab.set_clocks(lab.recover())
            raise
        _whole_again(lab, checkpoint)
    return replace(checkpoint, phase="complete")


def restore(name: str, label: str, progress: Progress) -> Checkpoint:
    """Restores the lab to a checkpoint. Everything that has changed since is lost.

    :raises UsageError: there is no such lab or checkpoint. :raises LabgenError: from libvirt or the machines.
    """
    with opened(name, progress) as lab:
        checkpoint = checkpoints.load(name, label)
        if lacking := freeze.lacks(lab.plan, checkpoint, lab.hypervisor):
            raise UsageError(
                f"the checkpoint {label!r} cannot be restored",
                f"rebuilt since then, or missing: {', '.join(lacking)}",
                f"labgen checkpoint delete {name} {label}",
            )
        checkpoints.save(name, replace(checkpoint, phase="restoring"))
        lab.progress.step(f"restoring {label}", stage="restore-checkpoint")
        try:
            freeze.revert(lab.plan, checkpoint, lab.hypervisor)
        except freeze.MemoryRefused as error:
            raise HypervisorError(
                error.brief,
                error.details,
                f"The disks are those of {label!r} again; 'labgen start {name}' boots the machines from them.",
            ) from error
        except HypervisorError as error:
            raise HypervisorError(
                error.brief, error.details, f"The restore is not finished; 'labgen start {name}' resumes it."
            ) from error
        _whole_again(lab, checkpoint)
    return checkpoint


def delete(name: str, label: str, progress: Progress) -> None:
    """:raises UsageError: there is no such lab or checkpoint. :raises LabgenError: from libvirt or the machines."""
    with seen(name):
        checkpoints.load(name, label)
    with opened(name, progress) as lab:
        for checkpoint in checkpoints.every(name):
            if checkpoint.label == label:  # unless it was interrupted, and so has already been removed
                lab.progress.step(f"deleting {label}", stage="delete-checkpoint")
                freeze.drop(lab.plan, checkpoint, lab.hypervisor)


def listing(name: str) -> list[dict[str, object]]:
    """A row for each checkpoint, oldest first.

    :raises UsageError: there is no such lab.
    """
    with seen(name) as (journal, hypervisor):
        sizes = hypervisor.pool.sizes(journal.lab.prefix)
    return [
        {
            "label": each.label,
            "created": each.created,
            "running": len(each.memory),
            "memory_bytes": sum(sizes.get(freeze.memory_volume(node, each.label), 0) for node in journal.lab.nodes),
        }
        for each in checkpoints.every(name)
        if each.phase in {"complete", "restoring"}
    ]


def _whole_again(opened: Opened, checkpoint: Checkpoint) -> None:
    opened.progress.step("setting the clocks", stage="set-clocks")
    opened.set_clocks(checkpoint.memory)
    if len(checkpoint.memory) == len(opened.nodes) and not opened.with_link_down():
        bring_up(opened)
