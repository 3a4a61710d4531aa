"""The contents of a bundle, compared with what its own profile results in; and the lab's files created from it.

Everything in it is untrusted until it has been checked. Nothing in it is run.
"""

from pathlib import Path

from labgen import bundle, handoff, paths, ssh
from labgen.bundle import Manifest, Received
from labgen.domain import devices
from labgen.errors import BundleError, LabgenError
from labgen.hypervisor import Hypervisor
from labgen.model import Box, Lab, Libvirt
from labgen.plan import guest_file, plan
from labgen.profile import Profile, dump, parse
from labgen.render import render, write

LARGEST_TEXT = 1024 * 1024  # bytes that a profile, a script or a key may have


def read_profile(received: Received) -> Profile:
    """The profile, validated by the same rules as any other.

    :raises BundleError: there is none, or it is not valid.
    """
    part = received.parts.get(paths.PROFILE)
    if part is None:
        raise BundleError("the bundle contains no profile")
    try:
        return parse(_text(part), received.manifest.lab, label=f"the bundle's {paths.PROFILE}").profile
    except (LabgenError, ValueError) as error:
        raise BundleError(
            "the bundle's profile is not valid", f"{error}\n{getattr(error, 'details', '')}".strip()
        ) from error


def refuse_incomplete(manifest: Manifest, profile: Profile) -> None:
    """:raises BundleError: a part that the profile needs is missing."""
    if manifest.box.name != profile.box:
        raise BundleError(f"the bundle's box is {manifest.box.name}, and its profile asks for {profile.box}")
    wanted = {f"{paths.GUEST_DIR}/{script}" for script in _extra_scripts(profile)}
    if manifest.depth != "recipe":
        for node in _neutral(manifest, profile).nodes:
            wanted.update(handoff.disk_parts(node))
            if manifest.depth == "running":
                wanted.add(handoff.memory_part(node.name))
    if lacking := wanted - {part.name for part in manifest.parts}:
        raise BundleError("the bundle is missing files that its profile needs", ", ".join(sorted(lacking)))


def refuse_code(received: Received, profile: Profile) -> None:
    """Whatever a user who unpacks the bundle by hand would run must equal what labgen renders for that profile.

    Another version of labgen renders other text; what it wrote is then neither compared nor used.

    :raises BundleError: it differs.
    """
    manifest = received.manifest
    if manifest.tools.get("labgen") != bundle.labgen_version():
        return
    lab = _neutral(manifest, profile)
    machines = {}
    if manifest.depth != "recipe":
        machines = handoff.node_boxes(lab, {part.name: part.sha256 for part in manifest.parts})
    for name, text in handoff.files(lab, machines).items():
        part = received.parts.get(name)
        expected = text.encode()
        if part is None or part.stat().st_size != len(expected) or part.read_bytes() != expected:
            raise BundleError(
                f"the bundle's {name} is not what labgen generates from its profile",
                "It was changed, and may contain foreign code.",
                "Ask the sender for an unchanged bundle from 'labgen export'.",
            )


def _neutral(manifest: Manifest, profile: Profile) -> Lab:
    """The lab as planned for a bundle."""
    return plan(
        profile, manifest.lab, subnet=manifest.subnet, box=box_of(manifest), accelerator="tcg", owner=handoff.OWNER
    )


def box_of(manifest: Manifest) -> Box:
    """The box from which the lab's machines were created."""
    return Box(manifest.box.name, f"labgen/{manifest.box.name}", manifest.box.version)


def write_files(lab: Lab, libvirt: Libvirt, profile: Profile, received: Received) -> None:
    """The lab's directory, rendered again; only the key and the profile's extra scripts are the sender's.

    :param libvirt: the host's. :raises BundleError: one of the sender's files cannot be used.
    """
    directory = paths.lab(lab.name)
    scripts = {name: _script(name, received) for name in sorted(_extra_scripts(profile))}
    write(render(lab, libvirt, directory, dump(profile), scripts), directory)
    (directory / paths.LOGS).mkdir(exist_ok=True)
    secret = received.parts.get(f"secrets/{paths.KEY}")
    if secret:
        _take_key(secret, directory / paths.KEY)
    else:
        ssh.make_key(directory / paths.KEY, f"labgen {lab.name}")


def _extra_scripts(profile: Profile) -> set[str]:
    """The profile's extra guest scripts, by their names in a bundle."""
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


def unfit(lab: Lab, manifest: Manifest, hypervisor: Hypervisor) -> str:
    """Why this host cannot resume the machines from their memory; empty if there is no known obstacle."""
    machine = manifest.machine
    if machine.accelerator != lab.accelerator:
        names = {"kvm": "with KVM", "tcg": "in software emulation"}
        return f"they ran {names.get(machine.accelerator, 'otherwise')}, and here they run {names[lab.accelerator]}"
    if machine.accelerator == "kvm" and machine.processor != hypervisor.host_processor():
        return f"the processor there was {machine.processor!r}, and here it is {hypervisor.host_processor()!r}"
    if machine.type not in hypervisor.machine_types():
        return f"QEMU here ({hypervisor.qemu_version()}) has no machine type {machine.type!r}"
    if others := [node.name for node in lab.nodes if not machine.slots_of(node.name).keys() <= devices(node)]:
        return f"{', '.join(others)} had other devices there than the profile defines"
    return ""
