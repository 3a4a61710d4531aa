"""``rebuild``: one node of a lab made anew; or its machine defined again, where its disks are still there."""

from dataclasses import replace
from pathlib import Path

from labgen import boxes, disks, paths, ssh, state, vagrant
from labgen.domain import docker_volume, domain_xml, root_volume
from labgen.hypervisor import Hypervisor
from labgen.lab import bases, machines, parts
from labgen.lab.access import find_node
from labgen.lab.create import Outcome, repair
from labgen.lab.parts import Parts
from labgen.model import Lab, Node
from labgen.progress import Progress


def losses(name: str, node_name: str) -> list[str]:
    """What a rebuild of a node removes, in words; empty if it only defines its machine again over its disks.

    :raises UsageError: there is no such lab or node, or the lab never was complete.
    """
    lab = state.load_finished(name).lab
    node = find_node(lab, node_name)
    with Hypervisor.connect() as hypervisor:
        there = parts.of(lab, hypervisor)[node.name]
        labels = hypervisor.kept_disks(node.domain) if there.domain else []
    if _only_undefined(there):
        return []
    found = {
        "its root disk, with all files on it": there.root,
        "its Docker disk, with images and volumes": there.docker,
    }
    lost = [what for what, is_there in found.items() if is_there]
    if lab.managers == (node,) and lab.orchestrator != "none":
        lost.append("what the cluster holds (services, configs, secrets): it is the only manager")
    if labels:
        lost.append(f"the way back to {', '.join(labels)}: these checkpoints cannot be restored any more")
    return lost or ["nothing: none of its disks is there"]


def rebuild(name: str, node_name: str, progress: Progress) -> Outcome:
    """Makes a node anew of the lab's box; if only its machine is gone, defines that again over its disks.

    A call that was cut off is resumed by the next one, or by ``start``.

    :raises UsageError: there is no such lab or node, or the lab never was complete.
    :raises LabgenError: as libvirt, the machines and the cluster do.
    """
    with state.locked(name):
        journal = state.load_finished(name)
        lab = journal.lab
        node = find_node(lab, node_name)
        with Hypervisor.connect() as hypervisor:
            if _only_undefined(parts.of(lab, hypervisor)[node.name]):
                progress.step("defining its machine again", node.name)
            else:
                journal = replace(journal, rebuilding=journal.rebuilding | {node.name})
                state.save(journal)
                progress.step("removing what is left of it", node.name)
                vagrant.forget_machine(paths.lab(name), node.name)
                machines.remove(hypervisor, node.domain)
                _make_disks(lab, node, hypervisor, progress)
            _define(lab, node, hypervisor)
        return repair(journal, progress)


def _only_undefined(there: Parts) -> bool:
    return there.root and there.docker and not there.domain


def _make_disks(lab: Lab, node: Node, hypervisor: Hypervisor, progress: Progress) -> None:
    progress.step("making its disks", node.name)
    roots = [root_volume(each) for each in lab.nodes if each != node]
    if others := [root for root in roots if root in hypervisor.pool.volumes(lab.prefix)]:
        hypervisor.pool.create(root_volume(node), node.disk_gib, hypervisor.pool.backing(others[0]))
    else:
        _begin_at_box(lab, node, hypervisor, progress)
    hypervisor.pool.create(docker_volume(node), node.storage_gib)


def _begin_at_box(lab: Lab, node: Node, hypervisor: Hypervisor, progress: Progress) -> None:
    """For a lab without another node whose disk would say what it began as."""
    image = _image(lab, progress)
    sha256 = disks.digest(image)
    with bases.locked(sha256, progress):
        base = bases.place(image, sha256, hypervisor, progress)
        hypervisor.pool.create(root_volume(node), node.disk_gib, base)


def _image(lab: Lab, progress: Progress) -> Path:
    for box in boxes.built(lab.box.name):
        if box.version == lab.box.version:
            return box.image
    box = boxes.ensure(lab.box.name, progress)
    progress.note(f"the lab was made with {lab.box.name} {lab.box.version}; this host has {box.version}")
    return box.image


def _define(lab: Lab, node: Node, hypervisor: Hypervisor) -> None:
    directory = paths.lab(lab.name)
    uuid = hypervisor.define(domain_xml(lab, node, directory, ssh.public_key(directory / paths.KEY)))
    vagrant.know_machine(directory, node.name, uuid)
