"""``stop``: switches a lab, or some of its nodes, off."""

from collections.abc import Sequence

from labgen.machines import parts, power
from labgen.machines.opened import opened
from labgen.machines.power import Standing
from labgen.progress import Progress


def stop(name: str, progress: Progress) -> bool:
    """Shuts all machines down, as their power buttons would.

    One that does not react is switched off; a node without a machine is reported. :return: whether any was on.
    :raises UsageError: there is no such lab, or it is suspended.
    :raises LabgenError: another process works on it, or libvirt refuses.
    """
    with opened(name, progress, going_off=True) as lab:
        power.refuse_suspended(lab)
        parts.tell_missing_machines(lab.journal, lab.hypervisor, lab.progress)
        return bool(power.shut_down(lab, lab.nodes))


def stop_nodes(name: str, nodes: Sequence[str], progress: Progress, *, force: bool = False) -> list[Standing]:
    """Shuts some machines down, and waits until the cluster has noticed.

    :param force: even if the cluster loses its majority of managers.
    :raises UsageError: there is no such lab or node, it is suspended, or the majority would be lost.
    :raises LabgenError: another process works on it, or libvirt refuses.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = power.chosen_to_go_off(lab, nodes, force=force)
        power.shut_down(lab, chosen)
        return power.standings(lab, chosen, "down")
