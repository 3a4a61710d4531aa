"""The decisions of ``create`` before it touches anything, which ``create --dry-run`` prints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labgen import boxes, paths, subnets, vagrant
from labgen.errors import LabgenError, UsageError
from labgen.host import LOCAL, Host, addresses
from labgen.hypervisor import LibvirtNetwork
from labgen.model import Accelerator, Box, Lab, Libvirt
from labgen.plan import guest_file, plan
from labgen.profile import Loaded, differences, dump, parse, read_script, shipped
from labgen.progress import Progress
from labgen.records import data_home, journals, registry
from labgen.records.journals import Request
from labgen.render import render

ASK_LIMIT = 5  # seconds that a preview waits for libvirt


@dataclass(frozen=True)
class Preview:
    """What ``create`` would create. :param notes: sentences for the user."""

    lab: Lab
    files: dict[str, str]
    notes: tuple[str, ...] = ()


def preview(loaded: Loaded, name: str) -> Preview:
    """The plan and the files that ``create`` would create; nothing on the host changes.

    :raises LabgenError: ``create`` would refuse.
    """
    refuse_another_profile(loaded, name)
    if journals.exists(name):
        lab = journals.load(name).lab
        return Preview(lab, files(loaded, lab, LOCAL.libvirt, paths.lab(name)))
    networks, unheard = _networks()
    known = registry.load().subnets
    choice = subnets.Choice(known[name]) if name in known else choose_subnet(loaded, known, networks, LOCAL)
    owner, stand_in = _owner()
    lab = decide(loaded, name, choice.subnet, LOCAL.accelerator().kind, _box(loaded), owner=owner)
    return Preview(
        lab, files(loaded, lab, LOCAL.libvirt, paths.lab(name)), tuple(filter(None, (unheard, choice.note, stand_in)))
    )


def _owner() -> tuple[str, str]:
    """The data home's id, and a note if it has none yet."""
    if owner := data_home.known_owner():
        return owner, ""
    stand_in = data_home.owner_of_path()
    return (
        stand_in,
        f"names and MAC addresses are shown for the owner id {stand_in}; the first create chooses a random one",
    )


def files(loaded: Loaded, lab: Lab, libvirt: Libvirt, directory: Path) -> dict[str, str]:
    """The rendered files of a lab that is to be in ``directory``. :param libvirt: its host's."""
    scripts = {guest_file(script): read_script(path) for script, path in loaded.scripts.items()}
    return render(lab, libvirt, directory, dump(loaded.profile), scripts)


def decide(loaded: Loaded, name: str, subnet: str, kind: Accelerator, box: "boxes.Box | Box", *, owner: str) -> Lab:
    """:param owner: see :func:`labgen.records.data_home.owner`."""
    chosen = Box(box.name, box.vagrant_name, box.version)
    return plan(loaded.profile, name, subnet=subnet, box=chosen, accelerator=kind, owner=owner)


def _box(loaded: Loaded) -> Box:
    """The box, as far as it is known without building it."""
    built = boxes.find(loaded.profile.box)
    name = loaded.profile.box
    return Box(name, f"labgen/{name}", built.version if built else "0")


def _networks() -> tuple[list[LibvirtNetwork], str]:
    """libvirt's networks, and a note if it does not answer."""
    try:
        with LOCAL.connect(ASK_LIMIT) as hypervisor:
            return hypervisor.networks(), ""
    except LabgenError as error:
        return [], f"{error.brief}: the subnet may be in use by one of its networks"


def request(loaded: Loaded, *, cold: bool) -> Request | None:
    """The request to ``create``; None if the profile was not read from a file, and so cannot be named again."""
    if loaded.source is None:
        return None
    path = loaded.source.resolve()
    known = {file.resolve(): name for name, file in shipped().items()}
    return Request(known.get(path, str(path)), loaded.overrides, cold)


def choose_subnet(
    loaded: Loaded, labs: Mapping[str, str], networks: Iterable[LibvirtNetwork], host: Host
) -> subnets.Choice:
    """:param labs: the labs' subnets by their names.

    :raises ProfileError: the profile's subnet is in use. :raises HostError: the pool is exhausted.
    """
    wanted = loaded.profile.network.subnet
    return subnets.choose(str(wanted) if wanted else None, addresses.in_use(labs, networks, host), subnets.pool())


def refuse_another_profile(loaded: Loaded, name: str) -> None:
    """A lab is defined by its first profile; another profile under the same name is a mistake.

    :raises UsageError: the lab exists and was created from another profile.
    """
    if not journals.exists(name):
        return
    recorded = paths.lab(name) / paths.PROFILE
    if lines := _differences(recorded, loaded) if recorded.exists() else _other_plan(name, loaded):
        raise UsageError(
            f"a lab named {name!r} already exists, created from a different profile",
            "\n".join([*lines, f"as the lab was made: {recorded}"]),
            f"Choose another name with --name, or remove it first: labgen destroy {name}",
        )


def _other_plan(name: str, loaded: Loaded) -> list[str]:
    """For a lab whose profile is lost, or was never written."""
    lab = journals.load(name).lab
    owner = lab.prefix.removesuffix(f"_{name}_")
    same = loaded.profile.box == lab.box.name and lab == decide(
        loaded, name, lab.network.subnet, lab.accelerator, lab.box, owner=owner
    )
    return [] if same else ["its own profile is missing; this profile does not give the plan in its journal"]


def _differences(recorded: Path, loaded: Loaded) -> list[str]:
    try:
        return list(differences(parse(recorded.read_text(), str(recorded)).profile, loaded.profile))
    except (LabgenError, OSError, ValueError) as error:
        return [f"which fields differ is unknown, because its profile cannot be read: {error}"]


def add_box(box: boxes.Box, progress: Progress) -> None:
    """Ensures that a box has been added to Vagrant."""
    if not vagrant.has_box(box.vagrant_name, box.version):
        progress.step(f"adding the box {box.name} {box.version} to Vagrant", stage="add-box")
        vagrant.add_box(box.catalog)
