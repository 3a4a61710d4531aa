"""``import``: somebody else's lab, from one file. Everything in it is a stranger's until it has been checked.

Nothing of the file is run: its profile is read as any profile, and what boots the lab is rendered anew from it.
"""

import shutil
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from labgen import bundle, handoff, paths, ssh, subnets
from labgen.bundle import Manifest, Received
from labgen.errors import BundleError, LabgenError, UsageError
from labgen.host import accelerator, addresses
from labgen.hypervisor import Hypervisor
from labgen.machines import placement, recovery
from labgen.machines.opened import Claim, claimed
from labgen.machines.removal import clear_lab, remove_files, remove_lab
from labgen.model import Box, Lab
from labgen.plan import guest_file, plan
from labgen.profile import Profile, dump, parse
from labgen.profile.constraints import PRIVATE
from labgen.profile.naming import lab_name
from labgen.progress import Progress
from labgen.records import data_home, registry
from labgen.records.journals import Journal, Origin
from labgen.render import render, write

LARGEST_TEXT = 1024 * 1024  # bytes that a profile, a script or a key may have


@dataclass(frozen=True)
class Imported:
    """:param signed_by: who vouches for the file; None: nobody.

    :param readdressed: the sender's addresses are taken here. :param with_key: the lab's private key came along.
    :param without_memory: why the machines' memory, which came along, cannot be used here; empty if it can.
    """

    journal: Journal
    signed_by: str | None
    readdressed: bool
    with_key: bool
    without_memory: str = ""


def receive(file: Path, name: str | None, verify: Path | None, progress: Progress) -> Imported:
    """Makes a lab of a bundle; ``start`` boots it.

    :param name: what to call it; by default as it was called. :param verify: an allowed-signers file of OpenSSH.
    :raises BundleError: the file is not what it should be. :raises UsageError: there is a lab of that name.
    :raises LabgenError: as libvirt does; nothing of the lab is left then.
    """
    called = lab_name(name or bundle.peek(file).lab)
    with claimed(called, progress) as claim:
        if claim.has_journal:
            raise UsageError(
                f"there is a lab called {called!r} already", resolution="Choose another name: labgen import --name"
            )
        if paths.incoming(called).exists():
            clear_lab(claim)  # what an import that was cut off left
        recovery.refuse_lost_files(called)
        was_there = paths.lab(called).exists()
        try:
            received, profile = _checked(file, called, verify, progress)
            recovery.refuse_lost(called)
        except BaseException:
            shutil.rmtree(paths.incoming(called), ignore_errors=True)
            if not was_there:  # else it has what somebody may need to get a lost lab back
                remove_files(called)
                paths.lab_lock(called).unlink()
            raise
        try:
            return _made(claim, received, profile)
        except BaseException:
            remove_lab(claim)
            raise


def _checked(file: Path, name: str, verify: Path | None, progress: Progress) -> tuple[Received, Profile]:
    """The bundle, unpacked, and its profile; nothing on the host depends on them yet."""
    paths.lab(name).mkdir(parents=True, exist_ok=True)
    received = bundle.read(file, paths.incoming(name), progress, verify)
    profile = _profile(received)
    _refuse_incomplete(received.manifest, profile)
    _refuse_code(received, profile)
    return received, profile


def _made(claim: Claim, received: Received, profile: Profile) -> Imported:
    hypervisor, depth = claim.hypervisor, received.manifest.depth
    lab, readdressed = _planned(claim, received.manifest, profile)
    _write_files(lab, profile, received)
    unfit = _unfit(lab, received.manifest, hypervisor) if depth == "running" else ""
    with_memory, with_disks = depth == "running" and not unfit, depth != "recipe"
    if with_disks:
        placement.place(lab, received, with_memory, hypervisor, claim.progress)
    with_key = f"secrets/{paths.KEY}" in received.parts
    origin = Origin(readdressed and with_disks, with_disks and not with_key, "kept" if with_memory else "")
    journal = Journal(lab, "verified" if with_disks else "rendered", origin=origin)
    claim.begun(journal)
    shutil.rmtree(paths.incoming(claim.name))  # as long as it is there without a journal, the import was cut off
    return Imported(journal, received.signed_by, readdressed, with_key, unfit)


def _profile(received: Received) -> Profile:
    """The profile, by the same rules as any."""
    part = received.parts.get(paths.PROFILE)
    if part is None:
        raise BundleError("the bundle holds no profile")
    try:
        return parse(_text(part), received.manifest.lab, label=f"the bundle's {paths.PROFILE}").profile
    except (LabgenError, ValueError) as error:
        raise BundleError(
            "the bundle's profile is not valid", f"{error}\n{getattr(error, 'details', '')}".strip()
        ) from error


def _refuse_incomplete(manifest: Manifest, profile: Profile) -> None:
    if manifest.box.name != profile.box:
        raise BundleError(f"the bundle's box is {manifest.box.name}, and its profile asks for {profile.box}")
    wanted = {f"{paths.GUEST_DIR}/{script}" for script in _extra_scripts(profile)}
    if manifest.depth != "recipe":
        for spec in profile.node_specs():
            wanted |= {handoff.root_part(spec.name), handoff.docker_part(spec.name)}
            if manifest.depth == "running":
                wanted.add(handoff.memory_part(spec.name))
    if lacking := wanted - {part.name for part in manifest.parts}:
        raise BundleError("the bundle lacks what its profile needs", ", ".join(sorted(lacking)))


def _refuse_code(received: Received, profile: Profile) -> None:
    """What somebody would run who unpacks the bundle by hand must be what labgen renders for that profile.

    Another version of labgen renders other text; what it wrote is then not compared, and not used either.
    """
    manifest = received.manifest
    if manifest.tools.get("labgen") != bundle.labgen_version():
        return
    lab = plan(
        profile, manifest.lab, subnet=manifest.subnet, box=_box(manifest), accelerator="tcg", owner=handoff.OWNER
    )
    machines = {}
    if manifest.depth != "recipe":
        machines = handoff.node_boxes(lab, {part.name: part.sha256 for part in manifest.parts})
    for name, text in handoff.files(lab, machines).items():
        part = received.parts.get(name)
        expected = text.encode()
        if part is None or part.stat().st_size != len(expected) or part.read_bytes() != expected:
            raise BundleError(
                f"the bundle's {name} is not what labgen makes of its profile",
                "Somebody has changed it; it may hold code of its own.",
                "Ask the sender for a bundle as 'labgen export' writes it.",
            )


def _box(manifest: Manifest) -> Box:
    return Box(manifest.box.name, f"labgen/{manifest.box.name}", manifest.box.version)


def _planned(claim: Claim, manifest: Manifest, profile: Profile) -> tuple[Lab, bool]:
    """The lab with the sender's addresses, if these are free here; else with others, whatever the profile says."""
    name, progress = claim.name, claim.progress
    host = accelerator.probe(progress)
    with registry.locked():
        known = registry.load()
        uses = addresses.in_use(known.subnets, claim.hypervisor.networks())
        # A stranger's file decides only about addresses that lead nowhere else.
        wanted = IPv4Network(manifest.subnet)
        elsewhere = subnets.conflict(manifest.subnet, uses) or subnets.covering(manifest.subnet, uses)
        free = any(map(wanted.subnet_of, PRIVATE)) and not elsewhere
        choice = subnets.Choice(manifest.subnet) if free else subnets.choose(None, uses, subnets.pool())
        if choice.note:
            progress.note(choice.note)
        subnet = choice.subnet
        registry.save(known.with_lab(name, subnet))
    lab = plan(profile, name, subnet=subnet, box=_box(manifest), accelerator=host.kind, owner=data_home.owner())
    return lab, not free


def _write_files(lab: Lab, profile: Profile, received: Received) -> None:
    directory = paths.lab(lab.name)
    scripts = {name: _script(name, received) for name in sorted(_extra_scripts(profile))}
    write(render(lab, directory, dump(profile), scripts), directory)
    (directory / paths.LOGS).mkdir(exist_ok=True)
    secret = received.parts.get(f"secrets/{paths.KEY}")
    if secret:
        _take_key(secret, directory / paths.KEY)
    else:
        ssh.make_key(directory / paths.KEY, f"labgen {lab.name}")


def _extra_scripts(profile: Profile) -> set[str]:
    """The guest scripts that are the profile's own, by the names that a bundle gives them."""
    return {guest_file(script) for spec in profile.node_specs() for script in spec.provision}


def _take_key(part: Path, target: Path) -> None:
    try:
        ssh.take_key(_text(part), target)
    except ValueError as error:
        raise BundleError("the bundle's private key cannot be used", str(error)) from error


def _script(name: str, received: Received) -> str:
    try:
        return _text(received.parts[f"{paths.GUEST_DIR}/{name}"])
    except ValueError as error:
        raise BundleError(f"the bundle's script {name} cannot be used", str(error)) from error


def _text(part: Path) -> str:
    if part.stat().st_size > LARGEST_TEXT:
        raise ValueError("it is too large")
    return part.read_text()


def _unfit(lab: Lab, manifest: Manifest, hypervisor: Hypervisor) -> str:
    """Why this host cannot go on with the machines' memory; empty if nothing speaks against it."""
    machine = manifest.machine
    if machine.accelerator != lab.accelerator:
        names = {"kvm": "with KVM", "tcg": "in software emulation"}
        return f"they ran {names.get(machine.accelerator, 'otherwise')}, and here they run {names[lab.accelerator]}"
    if machine.accelerator == "kvm" and machine.processor != hypervisor.host_processor():
        return f"the processor there was {machine.processor!r}, and here it is {hypervisor.host_processor()!r}"
    if machine.type not in hypervisor.machine_types():
        return f"QEMU here ({hypervisor.qemu_version()}) has no machine type {machine.type!r}"
    return ""
