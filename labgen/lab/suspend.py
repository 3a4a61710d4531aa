"""``suspend``: the machines' memory saved to disk, and the machines off, until ``start`` resumes them."""

from labgen.machines import freeze, parts
from labgen.machines.opened import opened
from labgen.parallel import on_each
from labgen.progress import Progress


def suspend(name: str, progress: Progress) -> bool:
    """Saves the memory of all machines at one moment and switches them off; a node without a machine is reported.

    :return: whether any was on.
    :raises UsageError: there is no such lab.
    :raises LabgenError: another process works on it, or libvirt refuses; all machines are then resumed.
    """
    with opened(name, progress) as lab:
        parts.tell_missing_machines(lab.journal, lab.hypervisor, lab.progress)
        running = freeze.running(lab.plan, lab.hypervisor)
        try:
            for node in running:
                lab.hypervisor.pause(node.domain)
            lab.progress.step("saving the machines' memory", stage="save-memory")
            on_each({node.name: node for node in running}, lambda node: lab.hypervisor.suspend(node.domain))
        except BaseException:
            freeze.put_back(running, lab.hypervisor)
            lab.set_clocks({node.name for node in running})
            raise
    return bool(running)
