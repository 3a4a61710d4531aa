"""``import``: another user's lab, from one file. Everything in it is untrusted until it has been checked.

Nothing in the file is run: its profile is read like any other, and the files that boot the lab are rendered from it.
"""

import shutil
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from labgen import bundle, paths, subnets
from labgen.bundle import Manifest, Received
from labgen.errors import UsageError
from labgen.host import addresses
from labgen.machines import incoming, placement, recovery
from labgen.machines.opened import Claim, claimed
from labgen.machines.removal import clear_lab, remove_files, remove_lab
from labgen.model import Lab
from labgen.plan import plan
from labgen.profile import Profile
from labgen.profile.constraints import PRIVATE
from labgen.profile.naming import lab_name
from labgen.progress import Progress
from labgen.records import data_home, registry
from labgen.records.journals import Journal, Origin


@dataclass(frozen=True)
class Imported:
    """:param signed_by: who vouches for the file; None: nobody.

    :param readdressed: the sender's addresses are in use here. :param with_key: the lab's private key was included.
    :param without_memory: why the machines' memory, which was included, cannot be used here; empty if it can.
    """

    journal: Journal
    signed_by: str | None
    readdressed: bool
    with_key: bool
    without_memory: str = ""


def receive(file: Path, name: str | None, verify: Path | None, progress: Progress) -> Imported:
    """Creates a lab from a bundle; ``start`` boots it.

    :param name: the lab's name; default: its name in the bundle. :param verify: an allowed-signers file of OpenSSH.
    :raises BundleError: the file is not a valid bundle. :raises UsageError: there is a lab of that name.
    :raises LabgenError: from libvirt; nothing of the lab is left then.
    """
    called = lab_name(name or bundle.peek(file).lab)
    with claimed(called, progress) as claim:
        if claim.has_journal:
            raise UsageError(
                f"a lab named {called!r} already exists", resolution="Choose another name: labgen import --name"
            )
        if paths.incoming(called).exists():
            clear_lab(claim)  # leftovers of an interrupted import
        recovery.refuse_lost_files(called)
        was_there = paths.lab(called).exists()
        try:
            received, profile = _checked(file, called, verify, claim.progress)
            recovery.refuse_lost(called, claim.host)
        except BaseException:
            shutil.rmtree(paths.incoming(called), ignore_errors=True)
            if not was_there:  # otherwise it contains what a user may need to recover a lost lab
                remove_files(called)
                paths.lab_lock(called).unlink()
            raise
        try:
            return _made(claim, received, profile)
        except BaseException:
            remove_lab(claim)
            raise


def _checked(file: Path, name: str, verify: Path | None, progress: Progress) -> tuple[Received, Profile]:
    """The unpacked bundle and its profile; nothing on the host depends on them yet."""
    paths.lab(name).mkdir(parents=True, exist_ok=True)
    received = bundle.read(file, paths.incoming(name), progress, verify)
    profile = incoming.read_profile(received)
    incoming.refuse_incomplete(received.manifest, profile)
    incoming.refuse_code(received, profile)
    return received, profile


def _made(claim: Claim, received: Received, profile: Profile) -> Imported:
    hypervisor, depth = claim.hypervisor, received.manifest.depth
    lab, readdressed = _planned(claim, received.manifest, profile)
    incoming.write_files(lab, claim.host.libvirt, profile, received)
    unfit = incoming.unfit(lab, received.manifest, hypervisor) if depth == "running" else ""
    with_memory, with_disks = depth == "running" and not unfit, depth != "recipe"
    if with_disks:
        placement.place(lab, received, with_memory, hypervisor, claim.progress)
    with_key = f"secrets/{paths.KEY}" in received.parts
    origin = Origin(readdressed and with_disks, with_disks and not with_key, "kept" if with_memory else "")
    journal = Journal(lab, "verified" if with_disks else "rendered", origin=origin)
    claim.begun(journal)
    shutil.rmtree(paths.incoming(claim.name))  # while it exists without a journal, the import counts as interrupted
    return Imported(journal, received.signed_by, readdressed, with_key, unfit)


def _planned(claim: Claim, manifest: Manifest, profile: Profile) -> tuple[Lab, bool]:
    """The lab with the sender's addresses if they are free here, else with others, whatever the profile specifies."""
    name, progress = claim.name, claim.progress
    kind = claim.host.accelerator(progress).kind
    with registry.locked():
        known = registry.load()
        uses = addresses.in_use(known.subnets, claim.hypervisor.networks(), claim.host)
        # An untrusted file may only choose addresses that lead nowhere else.
        wanted = IPv4Network(manifest.subnet)
        elsewhere = subnets.conflict(manifest.subnet, uses) or subnets.covering(manifest.subnet, uses)
        free = any(map(wanted.subnet_of, PRIVATE)) and not elsewhere
        choice = subnets.Choice(manifest.subnet) if free else subnets.choose(None, uses, subnets.pool())
        if choice.note:
            progress.note(choice.note)
        subnet = choice.subnet
        registry.save(known.with_lab(name, subnet))
    box, owner = incoming.box_of(manifest), data_home.owner()
    lab = plan(profile, name, subnet=subnet, box=box, accelerator=kind, owner=owner)
    return lab, not free
