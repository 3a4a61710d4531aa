"""``prune --everything``: all that labgen has created on this host for this user, and nothing of other users.

It works from what exists, not from what was done: after an interruption it resumes. The homes' files go last.
"""

from labgen import boxes, vagrant_store
from labgen.errors import LabgenError, UsageError
from labgen.host import LOCAL
from labgen.lab import prune
from labgen.machines import homes
from labgen.machines.estate import Everything, built, find, in_libvirt, libvirt_was_used
from labgen.machines.opened import claimed
from labgen.machines.removal import remove_lab
from labgen.paths import PROBE
from labgen.progress import Progress

__all__ = ["find", "remove"]


def remove(agreed: Everything, progress: Progress) -> None:
    """Removes everything, and checks that nothing is left.

    :param agreed: what :func:`find` had found when the user agreed.
    :raises BusyError: another labgen is at work. :raises LabgenError: from libvirt, or something still exists.
    :raises UsageError: there are labs that the user has not agreed to lose.
    """
    homes.refuse_busy()
    labs = find().labs
    if more := sorted(set(labs) - set(agreed.labs)):
        raise UsageError(
            "there are labs that were not in the question", "\n".join(more), "Run the same command again."
        )
    for name in labs:
        with claimed(name, progress) as claim:
            claim.progress.step(f"destroying {name}", stage="destroy")
            remove_lab(claim)
    progress.step("removing boxes and templates", stage="remove-boxes")
    boxes.remove(built())  # first, because prune keeps the volumes of existing boxes
    if libvirt_was_used():
        prune.remove(prune.find(cache=True), progress)
        _dissolve_pool()
    vagrant_store.clear()
    homes.remove()
    if left := find().rows():
        lines = "\n".join(f"{row['kind']} {row['name']}" for row in left)
        raise LabgenError("not everything could be removed", lines, "Run the same command again.")


def _dissolve_pool() -> None:
    """Removes doctor's leftovers, and the pool unless other users have something in it."""
    left = in_libvirt()
    with LOCAL.connect() as hypervisor:
        for network in left.probes:
            hypervisor.remove_network(network)
        if PROBE in left.volumes:
            hypervisor.pool.remove(PROBE)
        if left.pool and not left.others:
            hypervisor.pool.dissolve()
