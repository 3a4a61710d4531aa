"""``start`` and ``resume``: a lab on, with a complete cluster; also the first start after an import."""

from collections.abc import Sequence
from dataclasses import replace

from labgen import boxes, paths
from labgen.errors import UsageError
from labgen.files import read_text
from labgen.lab import doctor
from labgen.lab.balance import follow
from labgen.machines import parts, power
from labgen.machines.bringup import Outcome, bring_up
from labgen.machines.opened import Opened, failure_noted, opened
from labgen.machines.planning import add_box
from labgen.machines.power import Standing
from labgen.model import Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.parallel import on_each
from labgen.profile import parse
from labgen.progress import Progress
from labgen.render import vagrantfile, write


def start(name: str, progress: Progress, *, new_cluster: bool = False) -> Outcome:
    """Starts all machines and waits until the cluster is complete again; creates the machines of an imported lab.

    :param new_cluster: the user has agreed to lose the cluster's contents: form a new one if necessary.
    :raises UsageError: there is no such lab, or even its files are missing. :raises LabgenError: as create.
    """
    with opened(name, progress) as lab:
        if lab.journal.complete:
            return bring_up(lab, new_cluster=new_cluster)
        if lab.journal.stage == "planned":
            raise UsageError(
                f"{name!r} was never created", lab.journal.failure, f"Resume it with: {lab.journal.again}"
            )
        with failure_noted(name):
            _ready_box(lab)
            return bring_up(lab, cold=bool(lab.journal.request and lab.journal.request.cold))


def start_nodes(name: str, nodes: Sequence[str], progress: Progress) -> list[Standing]:
    """Boots some machines of a lab that has run, and waits until the cluster sees them as ready.

    :raises UsageError: there is no such lab or node, or it is suspended.
    :raises LabgenError: another process works on it, libvirt refuses, or a machine does not come up.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = power.chosen(lab, nodes)
        parts.require_whole(lab.plan, lab.hypervisor)
        power.switch_on(lab, chosen)
        standings = power.standings(lab, chosen, "ready")
    follow(name, "labgen start", progress)
    return standings


def unlock(name: str, key: str, progress: Progress) -> None:
    """Unlocks a lab's cluster; :func:`start` then finds it unchanged.

    :raises UsageError: there is no such lab. :raises ClusterError: the key is not correct.
    """
    with opened(name, progress) as lab:

        def attempt(node: Node) -> None:
            with lab.connect(node) as connection:
                ORCHESTRATORS[lab.plan.orchestrator].unlock(connection, key)

        on_each({node.name: node for node in lab.plan.managers}, attempt)


def _ready_box(opened: Opened) -> None:
    """Prepares the box of a lab that has only its files so far; this host may have another version of it."""
    lab = opened.plan
    profile = parse(read_text(paths.lab(lab.name) / paths.PROFILE), lab.profile).profile
    doctor.require_ready(profile, opened.host)
    box = boxes.ensure(lab.box.name, opened.progress)
    if box.version != lab.box.version:
        opened.progress.note(
            f"the lab was created with {lab.box.name} {lab.box.version}; this host has {box.version}"
        )
        lab = replace(lab, box=replace(lab.box, version=box.version))
        write({paths.VAGRANTFILE: vagrantfile(lab, opened.host.libvirt)}, paths.lab(lab.name))
        opened.save(replace(opened.journal, lab=lab))
    add_box(box, opened.progress)
