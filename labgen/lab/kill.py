"""``kill``: cuts the power of a lab, or of some of its nodes."""

from collections.abc import Sequence

from labgen.machines import power
from labgen.machines.opened import opened
from labgen.machines.power import Standing
from labgen.progress import Progress


def kill(name: str, progress: Progress) -> bool:
    """Switches all machines off at once. :return: whether any was on.

    :raises UsageError: there is no such lab, or it is suspended.
    :raises LabgenError: another process works on it, or libvirt refuses.
    """
    with opened(name, progress, going_off=True) as lab:
        power.refuse_suspended(lab)
        return bool(power.cut(lab, lab.nodes))


def kill_nodes(name: str, nodes: Sequence[str], progress: Progress, *, force: bool = False) -> list[Standing]:
    """Switches some machines off at once, and waits until the cluster has noticed.

    :param force: even if the cluster loses its majority of managers.
    :raises UsageError: there is no such lab or node, it is suspended, or the majority would be lost.
    :raises LabgenError: another process works on it, or libvirt refuses.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = power.chosen_to_go_off(lab, nodes, force=force)
        power.cut(lab, chosen)
        return power.standings(lab, chosen, "down")
