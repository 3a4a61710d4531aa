"""Removing a lab: nothing of it is left, and nothing else is touched.

It works from the lab's name alone: all of the lab's objects on the host have its prefix, so neither the profile
nor an intact journal is needed.
"""

import contextlib
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

from labgen import paths, vagrant
from labgen.errors import HypervisorError, LabgenError
from labgen.files import require_removable
from labgen.hypervisor import Hypervisor
from labgen.machines.opened import Claim
from labgen.plan import identity_of
from labgen.records import archive, data_home, journals, registry


def remove_lab(claim: Claim, *, archived: bool = False) -> int:
    """Removes everything of a lab, and checks that nothing is left.

    :param archived: except for the records of what was tried in it, for reports.
    :return: how many of these are kept.
    :raises LabgenError: libvirt refuses. :raises HypervisorError: some of it still exists.
    """
    kept = clear_lab(claim, archived=archived)
    paths.lab_lock(claim.name).unlink(missing_ok=True)
    return kept


def clear_lab(claim: Claim, *, archived: bool = False) -> int:
    """The same, except for its lock, which the caller continues to hold."""
    _require_files_to_be_ours(claim.name)
    owner = owner_of(claim.name, data_home.owner(), claim.hypervisor)
    claim.hypervisor.sweep(f"{owner}_{claim.name}_")
    _require_gone(claim.name, owner, claim.hypervisor)
    kept = archive.keep(claim.name) if archived else 0  # a destroy that fails before has kept nothing twice
    remove_files(claim.name)
    return kept


def _require_files_to_be_ours(name: str) -> None:
    """Called before the first loss.

    :raises PermissionError: the lab's files, or its record, belong to another user.
    """
    if paths.lab(name).is_dir():
        require_removable(paths.lab(name))
    vagrant.forget(paths.lab(name))
    with registry.locked():
        pass


def owner_of(name: str, ours: str, hypervisor: Hypervisor) -> str:
    """The id under which a lab was created.

    :param ours: this data home's.

    Under labgen 0.1.0, a home had a separate id for each path by which it was reached. The journal alone does not
    prove that the machines are this home's: it may have been copied from another home.

    :raises HypervisorError: there are objects under the journal's id, and nothing shows that they are this home's.
    """
    made = _in_journal(name)
    if made in {None, ours}:
        return ours
    machines, volumes = hypervisor.domains(f"{made}_{name}_"), hypervisor.pool.volumes(f"{made}_{name}_")
    directory = paths.lab(name).resolve()
    if any(_writes_into(directory, hypervisor.definition(machine.name)) for machine in machines):
        return made
    if left := [machine.name for machine in machines] + volumes:
        raise HypervisorError(
            f"{name!r} was created under another id than this data home's, and may belong to another one",
            "\n".join(left),
            "Nothing was removed. If they belong to this data home, remove them yourself (virsh -c "
            f"{hypervisor.libvirt.uri} undefine, vol-delete) and run the same command again.\n"
            f"If they belong to another one, remove only what was copied from there: {directory}",
        )
    return ours


def _in_journal(name: str) -> str | None:
    """The id in the journal's names; None: it has none, or the journal is lost."""
    with contextlib.suppress(LabgenError):
        if made := re.fullmatch(f"({data_home.OWNER})_{re.escape(name)}_", journals.load(name).lab.prefix):
            return made[1]
    return None


def _writes_into(directory: Path, definition: str) -> bool:
    """Whether a machine's console is written into a lab's directory. :param definition: libvirt's XML."""
    sources = ElementTree.fromstring(definition).iterfind("devices/serial/source[@path]")  # noqa: S314
    return any(Path(source.get("path", "")).resolve().is_relative_to(directory) for source in sources)


def _require_gone(name: str, owner: str, hypervisor: Hypervisor) -> None:
    """Also searches by the lab's identity: a machine that a user renamed is still the lab's."""
    prefix, written = f"{owner}_{name}_", identity_of(name, owner)
    left = {
        "machine": [
            each.name for each in hypervisor.domains("") if each.name.startswith(prefix) or each.identity == written
        ],
        "volume": hypervisor.pool.volumes(prefix),
        "network": [each.name for each in hypervisor.networks() if each.name == prefix.rstrip("_")],
    }
    if lines := [f"{kind} {each}" for kind, names in left.items() for each in names]:
        raise HypervisorError(
            f"{name!r} is not fully removed: libvirt still has parts of it",
            "\n".join(lines),
            f"Its directory was kept. Remove these yourself (virsh -c {hypervisor.libvirt.uri} undefine, vol-delete "
            "or net-undefine), then run the same command again.",
        )


def remove_files(name: str) -> None:
    """Removes a lab's directory and its entries in the registry and in Vagrant; libvirt is not used."""
    directory = paths.lab(name)
    vagrant.forget(directory)
    # The journal is removed last: until then the lab is visible, and can be destroyed again.
    if directory.is_symlink() and not (directory / paths.STATE).exists():
        directory.unlink()  # its target is not a lab, or no longer one
    elif directory.is_dir():
        for entry in directory.iterdir():
            if entry.name != paths.STATE:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        if directory.is_symlink():  # a user keeps it elsewhere
            (directory / paths.STATE).unlink(missing_ok=True)
            directory.unlink()
        else:
            shutil.rmtree(directory)
    with registry.locked():
        registry.save(registry.load().without_lab(name))
