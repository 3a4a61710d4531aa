"""``rebuild``: one node of a lab rebuilt; or, if its disks still exist, only its machine defined again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from labgen import boxes, disks, paths, ssh, vagrant
from labgen.domain import ROOT, domain_xml, root_volume, sizes, volumes
from labgen.errors import UsageError
from labgen.hypervisor import Hypervisor
from labgen.machines import bases, boot, parts
from labgen.machines.access import find_node, link_down
from labgen.machines.bringup import Outcome, bring_up
from labgen.machines.membership import losses_of_cluster, members
from labgen.machines.opened import opened
from labgen.machines.seen import seen
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.progress import Progress
from labgen.records import journals
from labgen.records.journals import Journal


def losses(name: str, node_name: str) -> list[str]:
    """What a rebuild of a node removes, in words; empty if it only defines its machine again over the existing disks.

    :raises UsageError: there is no such lab or node, or the lab was never complete.
    """
    with seen(name) as (journal, hypervisor):
        journals.require_finished(journal)
        return _losses(journal, find_node(journal.lab, node_name), hypervisor)


def rebuild(name: str, node_name: str, agreed: Sequence[str], progress: Progress) -> Outcome:
    """Rebuilds a node from the lab's box; if only its machine is missing, defines that again over its disks.

    An interrupted call is resumed by the next one, or by ``start``.

    :param agreed: the losses that the user has agreed to, as returned by :func:`losses`.
    :raises UsageError: there is no such lab or node, the lab was never complete, or more would be lost than agreed.
    :raises LabgenError: from libvirt, the machines or the cluster.
    """
    with opened(name, progress, finished=True) as lab:
        node = find_node(lab.plan, node_name)
        if (lost := _losses(lab.journal, node, lab.hypervisor)) != list(agreed):
            raise UsageError(
                f"{node.name} has changed since the question", "\n".join(lost), "Run the same command again."
            )
        # Everything that may fail comes before the first loss.
        if others := lab.with_link_down() - {node.name}:
            raise link_down(lab.plan, others)
        key = ssh.public_key(paths.lab(name) / paths.KEY)
        if lost:
            with _origin(lab.plan, node, lab.hypervisor, lab.progress) as base:
                lab.save(replace(lab.journal, rebuilding=lab.journal.rebuilding | {node.name}))
                _make_disks(lab.plan, node, base, lab.hypervisor, lab.progress)
        lab.progress.step("defining its machine", node.name, stage="define-machine")
        uuid = lab.hypervisor.define(domain_xml(lab.plan, node, lab.host.libvirt, paths.lab(name), key))
        vagrant.know_machine(paths.lab(name), node.name, uuid)
        return bring_up(lab)


def _losses(journal: Journal, node: Node, hypervisor: Hypervisor) -> list[str]:
    found_parts = parts.of(journal.lab, hypervisor)
    there = found_parts[node.name]
    if all(there.disks.values()) and not there.domain:
        return []
    files = "all files on it, also the images in the lab's registry" if node.name == journal.lab.registry else ""
    holds = {ROOT: files or "all files on it"} | {disk.name: disk.holds for disk in node.disks}
    lost = [f"its {disk} disk, with {holds[disk]}" for disk, is_there in there.disks.items() if is_there]
    if ORCHESTRATORS[journal.lab.orchestrator].holds:
        running = {name for name, each in found_parts.items() if each.running}
        lost += losses_of_cluster(journal, node, members(journal.lab, running))
    if there.domain and (labels := hypervisor.kept_disks(node.domain)):
        lost.append(f"the checkpoints {', '.join(labels)}: they can no longer be restored")
    return lost or ["nothing: none of its disks exists"]


@contextmanager
def _origin(lab: Lab, node: Node, hypervisor: Hypervisor, progress: Progress) -> Iterator[str]:
    """The volume that the lab's root disks were created from; nobody removes it in the meantime."""
    roots = [root_volume(each) for each in lab.nodes if each != node]
    if others := [root for root in roots if root in hypervisor.pool.volumes(lab.prefix)]:
        yield hypervisor.pool.backing(others[0])
        return
    image = _image(lab, progress)
    sha256 = disks.digest(image)
    with bases.locked(sha256, progress):
        yield bases.place(image, sha256, hypervisor, progress)


def _make_disks(lab: Lab, node: Node, base: str, hypervisor: Hypervisor, progress: Progress) -> None:
    progress.step("removing the rest of it", node.name, stage="remove-machine")
    vagrant.forget_machine(paths.lab(lab.name), node.name)
    boot.remove(hypervisor, node.domain)
    progress.step("creating its disks", node.name, stage="make-disks")
    for disk, gib in sizes(node).items():
        hypervisor.pool.create(volumes(node)[disk], gib, base if disk == ROOT else "")


def _image(lab: Lab, progress: Progress) -> Path:
    for box in boxes.built(lab.box.name):
        if box.version == lab.box.version:
            return box.image
    box = boxes.ensure(lab.box.name, progress)
    progress.note(f"the lab was created with {lab.box.name} {lab.box.version}; this host has {box.version}")
    return box.image
