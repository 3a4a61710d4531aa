"""``destroy``: the only verb that discards a whole lab."""

from labgen.errors import UsageError
from labgen.host import LOCAL
from labgen.machines.opened import claimed
from labgen.machines.removal import remove_lab
from labgen.progress import Progress
from labgen.records import data_home, journals, registry
from labgen.suggestions import near


def destroy(name: str, progress: Progress) -> int:
    """Removes a lab, and checks that nothing of it is left.

    Only the records of drills, deploys and rebalances are kept, for reports: they are the user's work.

    :return: how many of them.
    :raises UsageError: there is no such lab. :raises LabgenError: another process works on it, or libvirt refuses.
    :raises HypervisorError: some of it still exists.
    """
    if not is_there(name):
        raise UsageError(f"there is no lab named {name!r}", near(name, journals.names(), "labs"))
    with claimed(name, progress) as claim:
        claim.progress.step(f"destroying {name}", stage="destroy")
        return remove_lab(claim, archived=True)


def is_there(name: str) -> bool:
    """Whether anything exists of a lab of that name: its directory, its subnet, machines or disks."""
    if name in journals.names() or name in registry.load().subnets:
        return True
    owner = data_home.known_owner()
    if owner is None:
        return False
    prefix = f"{owner}_{name}_"
    with LOCAL.connect() as hypervisor:
        return bool(hypervisor.domains(prefix) or hypervisor.pool.volumes(prefix))
