"""Machines paused at one moment, and the cleanup after a labgen process that was killed in the middle."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from labgen.errors import HypervisorError
from labgen.hypervisor import Hypervisor
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records import checkpoints
from labgen.records.checkpoints import Checkpoint
from labgen.render import network_xml

# Labels of memory that does not belong to a checkpoint; no checkpoint can have such a label.
OUTGOING = "_outgoing"  # to be written into a bundle
RECEIVED = "_received"  # from a bundle, until its machine has resumed with it
BUSY_LIMIT = 300  # seconds to wait until libvirt has finished saving a machine's memory


class MemoryRefused(HypervisorError):
    """QEMU does not accept a checkpoint's memory; the disks are those of the checkpoint, and the machines are off."""


def running(lab: Lab, hypervisor: Hypervisor) -> list[Node]:
    up = {domain.name for domain in hypervisor.domains(lab.prefix) if domain.state == "running"}
    return [node for node in lab.nodes if node.domain in up]


@contextlib.contextmanager
def standing_still(nodes: Sequence[Node], hypervisor: Hypervisor) -> Iterator[float]:
    """All machines paused at one moment. Yields the time of that moment, in seconds; they are resumed in any case."""
    since = time.monotonic()
    try:
        for node in nodes:
            hypervisor.pause(node.domain)
        yield since
    finally:
        put_back(nodes, hypervisor)


@contextlib.contextmanager
def held(
    lab: Lab, nodes: Sequence[Node], hypervisor: Hypervisor, progress: Progress, *, with_memory: bool
) -> Iterator[float]:
    """Keeps the volumes of the machines' disks as they are at one moment; the machines are resumed.

    Yields the seconds that they were paused.

    :param with_memory: also keep their memory of that moment, in the volumes labelled :data:`OUTGOING`.
    """

    def hold(node: Node) -> None:
        hypervisor.overlays.begin(node.domain, memory_volume(node, OUTGOING) if with_memory else "")

    progress.step("pausing the machines", stage="hold-machines")
    try:
        with standing_still(nodes, hypervisor) as since:
            on_each({node.name: node for node in nodes}, hold)
        yield time.monotonic() - since
    finally:
        _let_go(lab, hypervisor, progress)


def put_back(nodes: Sequence[Node], hypervisor: Hypervisor) -> None:
    """Resumes paused machines, each regardless of failures of the others."""
    try:
        settle(nodes, hypervisor)  # after Ctrl-C libvirt may still be saving
    finally:
        wake(nodes, hypervisor)


def wake(nodes: Sequence[Node], hypervisor: Hypervisor) -> None:
    """Resumes machines, or starts them, each regardless of failures of the others.

    :raises HypervisorError: some did not resume; the error names them.
    """
    on_each({node.name: node for node in nodes}, lambda node: hypervisor.start(node.domain))


def settle(nodes: Sequence[Node], hypervisor: Hypervisor) -> None:
    """Waits until libvirt has finished what a killed or interrupted labgen process requested."""
    on_each({node.name: node for node in nodes}, lambda node: hypervisor.wait_until_idle(node.domain, BUSY_LIMIT))


def memory_volume(node: Node, label: str) -> str:
    """The pool's file with a node's memory. Like everything destroy removes, it begins with the domain's name."""
    return f"{node.domain}.{label}.memory"


def drop_memory(lab: Lab, label: str, hypervisor: Hypervisor) -> None:
    """Removes all existing volumes with memory of that label."""
    wanted = {memory_volume(node, label) for node in lab.nodes}
    for volume in wanted & set(hypervisor.pool.volumes(lab.prefix)):
        hypervisor.pool.remove(volume)


def keep(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor, progress: Progress) -> None:
    """Saves memory and disks of one moment, and resumes the machines; the checkpoint is complete then.

    :raises HypervisorError: libvirt refuses; :func:`recover` undoes the incomplete checkpoint.
    """
    running = {name: lab.node(name) for name in checkpoint.memory}
    everyone = {node.name: node for node in lab.nodes}
    for node in running.values():
        hypervisor.pause(node.domain)
    progress.step("saving the machines' memory", stage="save-memory")
    on_each(running, lambda node: hypervisor.save_memory(node.domain, memory_volume(node, checkpoint.label)))
    progress.step("taking a snapshot of the disks", stage="keep-disks")
    on_each(everyone, lambda node: hypervisor.snapshot_disks(node.domain, checkpoint.label))
    progress.step("resuming the machines", stage="go-on")
    go_on_from_memory(lab, checkpoint, hypervisor)


def go_on_from_memory(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Restores the memory of all machines that had some, and resumes them; the checkpoint is complete then.

    :raises HypervisorError: libvirt refuses; none of the machines has run.
    """
    nodes = {name: lab.node(name) for name in checkpoint.memory}
    on_each(nodes, lambda node: hypervisor.restore_memory(memory_volume(node, checkpoint.label)))
    # Once a machine runs, its memory is older than its disk: nobody may use that memory to undo or redo anything.
    checkpoints.save(lab.name, replace(checkpoint, phase="complete"))
    wake(list(nodes.values()), hypervisor)


def revert(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Restores all machines to a checkpoint, and resumes them.

    :raises MemoryRefused: see there; the checkpoint is complete.
    :raises HypervisorError: libvirt refuses, perhaps half-way: the restore must be repeated before any machine runs.
    """
    everyone = {node.name: node for node in lab.nodes}
    settle(list(lab.nodes), hypervisor)
    on_each(everyone, lambda node: hypervisor.cut_power(node.domain))
    on_each(everyone, lambda node: hypervisor.revert_disks(node.domain, checkpoint.label))
    try:
        go_on_from_memory(lab, checkpoint, hypervisor)
    except HypervisorError as error:
        # One machine from its memory and another from its disk would not fit together.
        on_each(everyone, lambda node: hypervisor.cut_power(node.domain))
        checkpoints.save(lab.name, replace(checkpoint, phase="complete"))
        raise MemoryRefused(error.brief, error.details) from error
    for name in checkpoint.memory:
        hypervisor.links.keep(lab.node(name).domain, lab.network)


def lacks(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> list[str]:
    """The nodes that no longer match a checkpoint: rebuilt since, or removed."""
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    volumes = hypervisor.pool.volumes(lab.prefix)
    return [
        node.name
        for node in lab.nodes
        if node.domain not in machines
        or checkpoint.label not in hypervisor.kept_disks(node.domain)
        or (node.name in checkpoint.memory and memory_volume(node, checkpoint.label) not in volumes)
    ]


def drop(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Removes a checkpoint: memory, snapshots of disks, record; also one that is incomplete."""
    checkpoints.save(lab.name, replace(checkpoint, phase="dropping"))
    drop_memory(lab, checkpoint.label, hypervisor)
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    for node in lab.nodes:
        if node.domain in machines:
            hypervisor.forget_disks(node.domain, checkpoint.label)
    checkpoints.remove(lab.name, checkpoint.label)


def recover(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> set[str]:
    """Undoes an interrupted export or save, or finishes an interrupted restore; paused machines are resumed.

    :return: the nodes whose machines were resumed; their clocks are behind.
    :raises HypervisorError: libvirt refuses; the next call tries again.
    """
    touched = _let_go(lab, hypervisor, progress)
    for checkpoint in checkpoints.every(lab.name):
        if checkpoint.phase == "saving":
            progress.note(f"saving the checkpoint {checkpoint.label} was interrupted: undone")
            _wake(lab, checkpoint, hypervisor)
            drop(lab, checkpoint, hypervisor)
            touched |= set(checkpoint.memory)
        elif checkpoint.phase == "dropping":
            drop(lab, checkpoint, hypervisor)
        elif checkpoint.phase == "restoring" and not lacks(lab, checkpoint, hypervisor):
            progress.note(f"restoring the checkpoint {checkpoint.label} was interrupted: repeated")
            with contextlib.suppress(MemoryRefused):  # the machines boot from their disks
                revert(lab, checkpoint, hypervisor)
            touched |= set(checkpoint.memory)
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    paused = _resume_paused([node for node in lab.nodes if node.domain in machines], hypervisor)
    for name in sorted(paused):
        progress.note(f"{name} was paused: resumed")
    return touched | paused


def _let_go(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> set[str]:
    """Ends what :func:`held` began, also after a labgen process was killed: overlays and memory.

    :return: the nodes whose machines were paused, and have been resumed.
    """
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    nodes = [node for node in lab.nodes if node.domain in machines]
    settle(nodes, hypervisor)
    overlaid = [node for node in nodes if hypervisor.overlays.are_there(node.domain)]
    # QEMU does not allow writes to the disks of a machine whose memory it has saved, until the machine is resumed.
    touched = _resume_paused(overlaid, hypervisor)
    for node in overlaid:
        progress.step("merging its overlay", node.name, stage="commit-overlays")
        # A machine that has gone off in the meantime is started for this.
        hypervisor.ensure_network(lab.network.name, network_xml(lab))
        hypervisor.overlays.end(node.domain)
    drop_memory(lab, OUTGOING, hypervisor)
    return touched


def _resume_paused(nodes: Sequence[Node], hypervisor: Hypervisor) -> set[str]:
    """Resumes paused machines, each regardless of failures of the others. :return: their names."""
    resumed = on_each({node.name: node for node in nodes}, lambda node: hypervisor.go_on(node.domain))
    return {name for name, was_paused in resumed.items() if was_paused}


def _wake(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Resumes the machines of an interrupted save from the saved memory, or from their present state."""
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    nodes = [lab.node(name) for name in checkpoint.memory if lab.node(name).domain in states]
    settle(nodes, hypervisor)
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    volumes = hypervisor.pool.volumes(lab.prefix)
    for node in nodes:
        volume = memory_volume(node, checkpoint.label)
        if states.get(node.domain) == "stopped" and volume in volumes:
            with contextlib.suppress(HypervisorError):  # incomplete: the machine boots from its disk
                hypervisor.restore_memory(volume)
    checkpoints.save(lab.name, replace(checkpoint, phase="dropping"))  # as above: from now on the memory is worthless
    wake(nodes, hypervisor)
