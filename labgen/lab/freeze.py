"""Machines held at one moment, and what a labgen that was killed left of it."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from labgen import checkpoints
from labgen.checkpoints import Checkpoint
from labgen.errors import HypervisorError
from labgen.hypervisor import Hypervisor
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.progress import Progress

# Labels of memory that is no checkpoint's; no checkpoint can be called so.
OUTGOING = "_outgoing"  # on its way into a bundle
RECEIVED = "_received"  # out of one, until its machine has gone on with it
BUSY_LIMIT = 300  # seconds that saving a machine's memory may go on without us


def running(lab: Lab, hypervisor: Hypervisor) -> list[Node]:
    up = {domain.name for domain in hypervisor.domains(lab.prefix) if domain.state == "running"}
    return [node for node in lab.nodes if node.domain in up]


@contextlib.contextmanager
def standing_still(nodes: Sequence[Node], hypervisor: Hypervisor) -> Iterator[float]:
    """All machines at one moment. Yields when that was, in seconds; they go on whatever happens."""
    since = time.monotonic()
    try:
        for node in nodes:
            hypervisor.pause(node.domain)
        yield since
    finally:
        settle(nodes, hypervisor)  # after Ctrl-C libvirt may still be saving
        for node in nodes:
            hypervisor.start(node.domain)


@contextlib.contextmanager
def held(lab: Lab, nodes: Sequence[Node], hypervisor: Hypervisor, *, with_memory: bool) -> Iterator[float]:
    """The volumes of machines' disks as they are at one moment; the machines go on.

    Yields the seconds that they stood still.

    :param with_memory: also their memory of that moment, in the volumes labelled :data:`OUTGOING`.
    """

    def hold(node: Node) -> None:
        hypervisor.overlays.begin(node.domain, memory_volume(node, OUTGOING) if with_memory else "")

    try:
        with standing_still(nodes, hypervisor) as since:
            on_each({node.name: node for node in nodes}, hold)
        yield time.monotonic() - since
    finally:
        release(lab, hypervisor)


def release(lab: Lab, hypervisor: Hypervisor) -> None:
    """Ends what :func:`held` began, also for a labgen that is gone: its disks and its memory."""
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    nodes = [node for node in lab.nodes if node.domain in machines]
    settle(nodes, hypervisor)
    for node in nodes:
        hypervisor.overlays.end(node.domain)
    drop_memory(lab, OUTGOING, hypervisor)


def settle(nodes: Sequence[Node], hypervisor: Hypervisor) -> None:
    """Waits until libvirt has finished what a labgen that is gone, or interrupted, asked it for."""
    for node in nodes:
        hypervisor.wait_until_idle(node.domain, BUSY_LIMIT)


def memory_volume(node: Node, label: str) -> str:
    """The file of the pool that holds a node's memory; begins with its domain's name, as all that destroy removes."""
    return f"{node.domain}.{label}.memory"


def drop_memory(lab: Lab, label: str, hypervisor: Hypervisor) -> None:
    """Removes the volumes with memory of that label, as many as there are."""
    wanted = {memory_volume(node, label) for node in lab.nodes}
    for volume in wanted & set(hypervisor.pool.volumes(lab.prefix)):
        hypervisor.pool.remove(volume)


def revert(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Makes all machines what they were, and lets them go on.

    :raises HypervisorError: libvirt refuses; where it was the memory, the disks are those of the checkpoint.
    """
    by_name = {node.name: node for node in lab.nodes}
    with_memory = {name: by_name[name] for name in checkpoint.memory}
    settle(list(lab.nodes), hypervisor)
    on_each(by_name, lambda node: hypervisor.cut_power(node.domain))
    on_each(by_name, lambda node: hypervisor.revert_disks(node.domain, checkpoint.label))
    try:
        on_each(with_memory, lambda node: hypervisor.restore_memory(memory_volume(node, checkpoint.label)))
    except HypervisorError:
        # One from its memory and one from its disk would not fit together.
        on_each(by_name, lambda node: hypervisor.cut_power(node.domain))
        raise
    for node in with_memory.values():
        hypervisor.start(node.domain)


def lacks(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> list[str]:
    """The nodes that are not those of a checkpoint any more: made anew since, or gone."""
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    volumes = hypervisor.pool.volumes(lab.prefix)
    return [
        node.name
        for node in lab.nodes
        if node.domain not in machines
        or not hypervisor.has_kept_disks(node.domain, checkpoint.label)
        or (node.name in checkpoint.memory and memory_volume(node, checkpoint.label) not in volumes)
    ]


def drop(lab: Lab, label: str, hypervisor: Hypervisor) -> None:
    """Removes a checkpoint: memory, disks' snapshots, record; also what there is of one that was cut off."""
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    for node in lab.nodes:
        if node.domain in machines:
            hypervisor.forget_disks(node.domain, label)
        volume = memory_volume(node, label)
        if volume in hypervisor.pool.volumes(volume):
            hypervisor.pool.remove(volume)
    checkpoints.remove(lab.name, label)


def recover(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> set[str]:
    """Undoes an export or a save, or finishes a restore, that was cut off.

    :return: the nodes whose machines go on from saved memory; their clocks are behind.
    """
    release(lab, hypervisor)
    touched: set[str] = set()
    for checkpoint in checkpoints.every(lab.name):
        if checkpoint.phase == "saving":
            progress.note(f"saving the checkpoint {checkpoint.label} was cut off: undone")
            _wake(lab, checkpoint, hypervisor)
            drop(lab, checkpoint.label, hypervisor)
            touched |= set(checkpoint.memory)
        elif checkpoint.phase == "restoring" and not lacks(lab, checkpoint, hypervisor):
            progress.note(f"restoring the checkpoint {checkpoint.label} was cut off: done again")
            with contextlib.suppress(HypervisorError):  # the disks are back; the machines boot from them
                revert(lab, checkpoint, hypervisor)
            checkpoints.save(lab.name, replace(checkpoint, phase="complete"))
            touched |= set(checkpoint.memory)
    return touched


def _wake(lab: Lab, checkpoint: Checkpoint, hypervisor: Hypervisor) -> None:
    """Lets the machines of a save that was cut off go on from the memory that was saved, or from where they are."""
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    nodes = [lab.node(name) for name in checkpoint.memory if lab.node(name).domain in states]
    settle(nodes, hypervisor)
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    for node in nodes:
        volume = memory_volume(node, checkpoint.label)
        if states.get(node.domain) == "stopped" and volume in hypervisor.pool.volumes(volume):
            with contextlib.suppress(HypervisorError):  # half-written: it boots from its disk
                hypervisor.restore_memory(volume)
    for node in nodes:
        hypervisor.start(node.domain)
