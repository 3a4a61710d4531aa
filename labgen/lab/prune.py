"""``prune``: labgen's objects on the host that no longer belong to any lab."""

import contextlib
import shutil

from labgen import paths
from labgen.host import LOCAL
from labgen.machines import bases, warm
from labgen.machines.opened import Claim, claimed, opened
from labgen.machines.orphans import Orphans, find, lab_of
from labgen.machines.removal import remove_files
from labgen.paths import BOX_VOLUMES
from labgen.progress import Progress
from labgen.records import archive, data_home, journals, templates

__all__ = ["archived", "find", "remove"]


def archived() -> int:
    """Of how many destroyed labs the records are kept."""
    return len(archive.every())


def remove(orphans: Orphans, progress: Progress) -> None:
    """:raises LabgenError: libvirt refuses."""
    owner = data_home.owner()
    gone = {lab_of(name, owner) for name in (*orphans.domains, *orphans.networks, *orphans.volumes)} - {""}
    for name in gone | set(orphans.directories) | set(orphans.reservations):
        # Another command may have begun to create a lab of that name in the meantime.
        with contextlib.suppress(journals.BusyError), claimed(name, progress) as claim:
            if not claim.has_journal:
                _remove_remains(claim)
    for name in orphans.exports:
        with contextlib.suppress(journals.BusyError), opened(name, progress):
            shutil.rmtree(paths.outgoing(name), ignore_errors=True)
    archive.remove(orphans.archived)
    with LOCAL.connect() as hypervisor:
        for key in orphans.templates:
            with templates.locked(key, progress):
                warm.remove(key, hypervisor)
                paths.template_lock(key).unlink(missing_ok=True)
        for volume in orphans.volumes:
            if volume.startswith(BOX_VOLUMES):
                hypervisor.pool.remove(volume)
        bases.remove_unused(hypervisor)


def _remove_remains(claim: Claim) -> None:
    claim.hypervisor.sweep(f"{data_home.owner()}_{claim.name}_")
    remove_files(claim.name)
    paths.lab_lock(claim.name).unlink(missing_ok=True)
