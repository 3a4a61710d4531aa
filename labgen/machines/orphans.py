"""labgen's objects on the host that no longer belong to any lab."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from labgen import boxes, paths
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.machines import bases, homes, trial
from labgen.paths import BOX_VOLUMES
from labgen.records import archive, data_home, journals, registry, templates
from labgen.records.archive import Archived

NOBODY = "labgen-nobody"  # the owner of nothing in libvirt, for a data home that has created nothing there


@dataclass(frozen=True)
class Orphans:
    """Names of objects that no lab owns.

    :param volumes: including those of replaced boxes. :param directories: of labs without a journal.
    :param reservations: of subnets, by the name of the lab that had them.
    :param exports: labs whose export was interrupted. :param templates: the keys of those that no create will use.
    :param archived: records of labs that were destroyed.
    :param lost: labs with machines or disks, but without a journal. They are not leftovers, and are kept.
    """

    domains: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    reservations: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    archived: list[Archived] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, object]]:
        kinds = {
            "domain": self.domains,
            "network": self.networks,
            "volume": self.volumes,
            "directory": self.directories,
            "subnet reservation": self.reservations,
            "interrupted export of a lab": self.exports,
            "template": self.templates,
            "records of a destroyed lab": [f"{each.lab} {each.moment}" for each in self.archived],
        }
        return [{"kind": kind, "name": name} for kind, names in kinds.items() for name in names]


def find(*, cache: bool = False, records: bool = False) -> Orphans:
    """:param cache: also the templates that the next create could use.

    :param records: also the records of labs that were destroyed. :raises HostError: libvirt does not answer.
    """
    living = {name for name in journals.names() if journals.exists(name) or journals.is_locked(name)}
    with LOCAL.connect() as hypervisor:
        owner = data_home.known_owner() or NOBODY
        prefix = f"{owner}_"
        having = [*(each.name for each in hypervisor.domains(prefix)), *hypervisor.pool.volumes(prefix)]
        lost = {name for each in having if _may_be_lived_in(name := lab_of(each, owner))} - living
        living |= lost
        return Orphans(
            domains=[each.name for each in hypervisor.domains(prefix) if lab_of(each.name, owner) not in living],
            networks=[
                each.name
                for each in hypervisor.networks()
                if each.name.startswith(prefix) and lab_of(each.name, owner) not in living
            ],
            volumes=[name for name in hypervisor.pool.volumes(prefix) if lab_of(name, owner) not in living]
            + _unused_box_volumes(hypervisor, owner)
            + bases.unused(hypervisor),
            directories=[name for name in homes.labs() if name not in living],
            reservations=[name for name in registry.load().subnets if name not in living],
            exports=[
                name for name in living - lost if paths.outgoing(name).exists() and not journals.is_locked(name)
            ],
            templates=[key for key in _template_keys(hypervisor, owner) if not _is_needed(key) or cache],
            archived=archive.every() if records else [],
            lost=sorted(lost),
        )


def _may_be_lived_in(name: str) -> bool:
    """Neither doctor's machine nor an interrupted import contains anything of a user's."""
    return name != trial.NAME and not paths.incoming(name).exists()


def lab_of(name: str, owner: str) -> str:
    """The lab that one of labgen's objects belongs to: OWNER_LAB or OWNER_LAB_NODE..."""
    parts = name.split("_")
    return parts[1] if len(parts) > 1 and parts[0] == owner else ""


def _template_keys(hypervisor: Hypervisor, owner: str) -> list[str]:
    """The keys of all templates, including incomplete ones."""
    prefix = templates.memory_volumes(owner)
    in_pool = {name.removeprefix(prefix).partition(".")[0] for name in hypervisor.pool.volumes(prefix)}
    return sorted(in_pool | set(templates.keys()))


def _is_needed(key: str) -> bool:
    """Whether a template is complete and of a box as it is built today, or is being created."""
    if templates.is_locked(key):
        return True
    template = templates.find(key)
    if template is None:
        return False
    name, version = template.box
    box = boxes.find(name)
    return box is not None and box.version == version


def others_have_templates(volumes: Iterable[str], owner: str) -> bool:
    """Whether the pool contains memory of templates of other data homes.

    Their disks are in their owners' caches and cannot be seen in the pool: they may be based on any box there.
    """
    return any(templates.MEMORY in name and not name.startswith(templates.memory_volumes(owner)) for name in volumes)


def _unused_box_volumes(hypervisor: Hypervisor, owner: str) -> list[str]:
    """Volumes of boxes that Vagrant uploaded and no disk is based on; the newest ones of their kind are kept."""
    if others_have_templates(hypervisor.pool.volumes(""), owner):
        return []
    newest = [box for name in boxes.known() if (box := boxes.find(name))]
    current = {f"{BOX_VOLUMES}{box.name}_vagrant_box_image_{box.version}" for box in newest}
    used = hypervisor.pool.backings()
    return [
        volume
        for volume in hypervisor.pool.volumes(BOX_VOLUMES)
        if re.sub(r"_box(_\d+)?\.img$|\.img$", "", volume) not in current and volume not in used
    ]
