"""``drill``: something is broken on purpose, measured, and put back."""

from labgen import drills
from labgen.drills import running
from labgen.lab.balance import follow
from labgen.machines.opened import opened
from labgen.progress import Progress
from labgen.records import journals, results
from labgen.records.results import Result


def drill(name: str, called: str, service: str, rate: float, progress: Progress, *, force: bool) -> Result:
    """Runs a drill in a lab.

    :param called: the drill's name. :param service: the service it acts on; empty: the one that publishes a port.
    :param rate: requests per second. :param force: even if the cluster loses its majority of managers.
    :return: the record, which is kept with the lab; its verdict tells whether the hypothesis came true.
    :raises UsageError: there is no such lab, drill or service, or they do not fit.
    :raises LabgenError: the lab is not in a steady state, or the drill cannot be done; all is put back.
    """
    wanted = drills.find(called)
    try:
        with opened(name, progress, finished=True) as lab:
            return running.run(wanted, lab, service, rate, force=force)
    finally:
        follow(name, f"labgen drill {wanted.name}", progress)


def history(name: str) -> list[Result]:
    """What was done in a lab, the oldest first. :raises UsageError: there is no such lab."""
    journals.require_there(name)
    return results.every(name)
