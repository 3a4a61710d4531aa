"""A lab whose journal is lost or damaged: the journal is written again from the lab's profile and libvirt's objects.

A plan follows from a profile, a name and a subnet, so it is the same again. This is checked, not assumed: every
machine must exist, with the network card that the plan gives it.
"""

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from labgen import boxes, paths
from labgen.errors import LabgenError
from labgen.files import read_text
from labgen.host import Host
from labgen.hypervisor import Hypervisor
from labgen.machines import parts
from labgen.model import Accelerator, Box, Lab
from labgen.plan import plan
from labgen.progress import Progress
from labgen.records import data_home, journals, registry
from labgen.records.journals import Journal, JournalLost

if TYPE_CHECKING:
    from labgen.profile import Profile

DAMAGED = ".damaged"  # suffix of the damaged journal, which is kept next to the new one
BOX_VERSION = re.compile(r"_vagrant_box_image_([0-9.]+?)(_box(_\d+)?)?\.img$")  # in the name of a box's volume


def journal(name: str, host: Host, progress: Progress) -> Journal:
    """A lab's journal; if it is lost, it is written again. For a caller that holds the lab's lock.

    :raises UsageError: there is no such lab.
    :raises JournalLost: it is lost, and cannot be reconstructed from what exists.
    """
    try:
        return journals.load(name)
    except JournalLost as error:
        with host.connect() as hypervisor:
            again = _again(name, hypervisor, error)
        path = paths.lab(name) / paths.STATE
        if path.exists():
            path.replace(path.with_name(path.name + DAMAGED))
        journals.save(again)
        progress.note(f"the journal of {name} was lost: written again from its profile and from libvirt")
        return again


def may_be_possible(name: str) -> bool:
    """Whether a lab has its files and only lacks its journal; an interrupted import never had one."""
    return (
        (paths.lab(name) / paths.PROFILE).is_file()
        and not journals.exists(name)
        and not paths.incoming(name).exists()
    )


def refuse_lost_files(name: str) -> None:
    """Called before an import unpacks anything.

    :raises JournalLost: there are files of a lab of that name whose journal is lost.
    """
    if may_be_possible(name):
        raise _taken(name, str(paths.lab(name)))


def refuse_lost(name: str, host: Host) -> None:
    """Called before a lab's machines are created.

    :raises JournalLost: there are machines or disks of a lab of that name whose journal is lost.
    """
    prefix = f"{data_home.owner()}_{name}_"
    with host.connect() as hypervisor:
        left = [domain.name for domain in hypervisor.domains(prefix)] or hypervisor.pool.volumes(prefix)
    if left:
        raise _taken(name, "\n".join(left))


def _taken(name: str, evidence: str) -> JournalLost:
    return JournalLost(
        f"a lab named {name!r} already exists, and its journal is lost",
        evidence,
        f"'labgen start {name}' writes it again if the lab's directory still exists: {paths.lab(name)}\n"
        f"'labgen destroy {name}' removes it. Or choose another name with --name.",
    )


def _again(name: str, hypervisor: Hypervisor, lost: JournalLost) -> Journal:
    from labgen.profile import parse  # noqa: PLC0415 - pydantic takes long to load, and a journal is rarely lost

    prefix = f"{data_home.owner()}_{name}_"
    domains = hypervisor.domains(prefix)
    try:
        profile = parse(read_text(paths.lab(name) / paths.PROFILE), name).profile
        subnet = _subnet(name, prefix, hypervisor)
    except (LabgenError, OSError, LookupError) as error:
        raise _hopeless(lost, f"its profile or its network is lost too: {error}") from error
    if not domains:
        raise _hopeless(lost, "none of its machines is in libvirt")
    definition = ElementTree.fromstring(hypervisor.definition(domains[0].name))  # noqa: S314 - libvirt's own
    kind: Accelerator = "kvm" if definition.get("type") == "kvm" else "tcg"
    box = _box(profile, domains[0].name, hypervisor)
    lab = plan(profile, name, subnet=subnet, box=box, accelerator=kind, owner=data_home.owner())
    if differing := _differing(lab, hypervisor):
        raise _hopeless(lost, f"missing, or not the machines of its profile: {', '.join(differing)}")
    return Journal(lab, "verified")


def _subnet(name: str, prefix: str, hypervisor: Hypervisor) -> str:
    if known := registry.load().subnets.get(name):
        return known
    for network in hypervisor.networks():
        if network.name == prefix.rstrip("_"):
            return network.subnets[0]
    raise LookupError("no network of its name in libvirt")


def _box(profile: "Profile", domain: str, hypervisor: Hypervisor) -> Box:
    version = BOX_VERSION.search(hypervisor.pool.backing(f"{domain}.img"))
    here = boxes.find(profile.box)
    number = version[1] if version else here.version if here else "0"
    return Box(profile.box, f"labgen/{profile.box}", number)


def _differing(lab: Lab, hypervisor: Hypervisor) -> list[str]:
    """The nodes that are incomplete, or whose machine does not have the network card in the plan."""
    found = parts.of(lab, hypervisor)
    return [
        node.name
        for node in lab.nodes
        if not found[node.name].whole or node.mac not in hypervisor.definition(node.domain)
    ]


def _hopeless(lost: JournalLost, why: str) -> JournalLost:
    return JournalLost(lost.brief, f"{lost.details}\n{why}", lost.resolution)
