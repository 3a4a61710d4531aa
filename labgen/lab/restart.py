"""``restart``: shuts nodes down and boots them again."""

from collections.abc import Sequence

from labgen.machines import power
from labgen.machines.opened import opened
from labgen.machines.power import Standing
from labgen.progress import Progress


def restart_nodes(name: str, nodes: Sequence[str], progress: Progress, *, force: bool = False) -> list[Standing]:
    """Restarts some machines, and waits until the cluster sees them as ready.

    :param force: even if the cluster loses its majority of managers in the meantime.
    :raises UsageError: there is no such lab or node, it is suspended, or the majority would be lost.
    :raises LabgenError: another process works on it, libvirt refuses, or a machine does not come up.
    """
    with opened(name, progress, finished=True) as lab:
        chosen = power.chosen_to_go_off(lab, nodes, force=force)
        power.shut_down(lab, chosen)
        power.switch_on(lab, chosen)
        return power.standings(lab, chosen, "ready")
