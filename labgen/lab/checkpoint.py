"""``checkpoint``: the whole lab at one moment, disks and memory, to come back to."""

import re
from dataclasses import replace

from labgen.errors import HypervisorError, UsageError
from labgen.hypervisor import Hypervisor
from labgen.lab.create import repair
from labgen.machines import clocks, freeze
from labgen.model import Lab
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records import checkpoints, journals
from labgen.records.checkpoints import Checkpoint
from labgen.records.journals import Journal

LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def save(name: str, label: str, progress: Progress) -> Checkpoint:
    """Keeps the lab as it is now; its machines stand still meanwhile, for some seconds.

    :raises UsageError: there is no such lab, it is suspended or half-made, or it has a checkpoint of that label.
    :raises LabgenError: as libvirt and the machines do; the lab then goes on, and there is no checkpoint.
    """
    if not LABEL.fullmatch(label):
        raise UsageError(
            f"{label!r} is no label", resolution="Up to 40 lower-case letters, digits and hyphens, as: before-upgrade"
        )
    with journals.locked(name), Hypervisor.connect() as hypervisor:
        journal = _settled(name, hypervisor, progress)
        lab = journal.lab
        if any(each.label == label for each in checkpoints.every(name)):
            raise UsageError(
                f"{name!r} has a checkpoint called {label!r} already",
                resolution=f"Choose another label, or: labgen checkpoint delete {name} {label}",
            )
        running = freeze.running(lab, hypervisor)
        checkpoint = checkpoints.begun(label, tuple(node.name for node in running))
        checkpoints.save(name, checkpoint)
        try:
            _keep(lab, checkpoint, hypervisor, progress)
        except BaseException:
            clocks.adjust(lab, freeze.recover(lab, hypervisor, progress))
            raise
        _whole_again(journal, checkpoint, progress)
    return replace(checkpoint, phase="complete")


def restore(name: str, label: str, progress: Progress) -> Checkpoint:
    """Makes the lab what it was. What happened in it since is lost.

    :raises UsageError: there is no such lab or checkpoint. :raises LabgenError: as libvirt and the machines do.
    """
    with journals.locked(name), Hypervisor.connect() as hypervisor:
        journal = journals.load(name)
        clocks.adjust(journal.lab, freeze.recover(journal.lab, hypervisor, progress))
        checkpoint = checkpoints.load(name, label)
        if lacking := freeze.lacks(journal.lab, checkpoint, hypervisor):
            raise UsageError(
                f"the checkpoint {label!r} cannot be restored",
                f"made anew since then, or gone: {', '.join(lacking)}",
                f"labgen checkpoint delete {name} {label}",
            )
        checkpoints.save(name, replace(checkpoint, phase="restoring"))
        progress.step(f"restoring {label}")
        try:
            freeze.revert(journal.lab, checkpoint, hypervisor)
        except freeze.MemoryRefused as error:
            raise HypervisorError(
                error.brief,
                error.details,
                f"The disks are those of {label!r} again; 'labgen start {name}' boots the machines from them.",
            ) from error
        except HypervisorError as error:
            raise HypervisorError(
                error.brief, error.details, f"The restore is not finished; 'labgen start {name}' goes on with it."
            ) from error
        _whole_again(journal, checkpoint, progress)
    return checkpoint


def delete(name: str, label: str, progress: Progress) -> None:
    """:raises UsageError: there is no such lab or checkpoint. :raises LabgenError: as libvirt and the machines do."""
    with journals.locked(name), Hypervisor.connect() as hypervisor:
        lab = journals.load(name).lab
        checkpoints.load(name, label)
        clocks.adjust(lab, freeze.recover(lab, hypervisor, progress))
        for checkpoint in checkpoints.every(name):
            if checkpoint.label == label:  # unless it was cut off, and so is gone already
                progress.step(f"deleting {label}")
                freeze.drop(lab, checkpoint, hypervisor)


def listing(name: str) -> list[dict[str, object]]:
    """A row for each checkpoint, oldest first.

    :raises UsageError: there is no such lab.
    """
    lab = journals.load(name).lab
    with Hypervisor.connect() as hypervisor:
        sizes = hypervisor.pool.sizes(lab.prefix)
    return [
        {
            "label": each.label,
            "created": each.created,
            "running": len(each.memory),
            "memory_bytes": sum(sizes.get(freeze.memory_volume(node, each.label), 0) for node in lab.nodes),
        }
        for each in checkpoints.every(name)
        if each.phase in {"complete", "restoring"}
    ]


def _keep(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor, progress: Progress) -> None:
    running = {name: lab.node(name) for name in checkpoint.memory}
    everyone = {node.name: node for node in lab.nodes}
    for node in running.values():
        hypervisor.pause(node.domain)
    progress.step("saving the machines' memory")
    on_each(running, lambda node: hypervisor.save_memory(node.domain, freeze.memory_volume(node, checkpoint.label)))
    progress.step("keeping the disks")
    on_each(everyone, lambda node: hypervisor.snapshot_disks(node.domain, checkpoint.label))
    progress.step("going on")
    freeze.go_on_from_memory(lab, checkpoint, hypervisor)


def _settled(name: str, hypervisor: Hypervisor, progress: Progress) -> Journal:
    """:raises UsageError: the lab is half-made or suspended."""
    journal = journals.load_finished(name)
    clocks.adjust(journal.lab, freeze.recover(journal.lab, hypervisor, progress))
    if any(domain.state == "suspended" for domain in hypervisor.domains(journal.lab.prefix)):
        raise UsageError(f"{name!r} is suspended", resolution=f"First: labgen resume {name}")
    return journal


def _whole_again(journal: Journal, checkpoint: Checkpoint, progress: Progress) -> None:
    progress.step("setting the clocks")
    clocks.adjust(journal.lab, set(checkpoint.memory))
    if len(checkpoint.memory) == len(journal.lab.nodes):
        repair(journal, progress)
