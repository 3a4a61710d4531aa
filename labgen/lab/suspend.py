"""``suspend`` and ``resume``: the machines' memory on disk, and the machines off, until they go on."""

from labgen.hypervisor import Hypervisor
from labgen.machines import clocks, freeze
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records import journals


def suspend(name: str, progress: Progress) -> bool:
    """Saves the memory of all machines at one moment and switches them off. ``start`` lets them go on.

    :return: whether any was on.
    :raises UsageError: there is no such lab.
    :raises LabgenError: it is being worked on, or libvirt refuses; all machines then go on.
    """
    with journals.locked(name), Hypervisor.connect() as hypervisor:
        lab = journals.load(name).lab
        clocks.adjust(lab, freeze.recover(lab, hypervisor, progress))
        running = freeze.running(lab, hypervisor)
        try:
            for node in running:
                hypervisor.pause(node.domain)
            progress.step("saving the machines' memory")
            on_each({node.name: node for node in running}, lambda node: hypervisor.suspend(node.domain))
        except BaseException:
            freeze.put_back(running, hypervisor)
            clocks.adjust(lab, {node.name for node in running})
            raise
    return bool(running)
