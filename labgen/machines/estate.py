"""Everything that labgen has created on this host for this user, as found on the host, not as recorded."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labgen import boxes, images, paths, vagrant_store
from labgen.errors import HypervisorError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.machines import homes, orphans
from labgen.machines.removal import owner_of
from labgen.paths import BOX_VOLUMES, PROBE, RECEIVED_BOXES
from labgen.records import data_home, registry, templates


@dataclass(frozen=True)
class InLibvirt:
    """:param labs: those with machines, disks or a network. :param templates: those with memory in the pool.

    :param volumes: of boxes that no other user's disk is based on. :param probes: networks that doctor has left.
    :param others: the volumes of other users, and of boxes that their disks are based on.
    """

    pool: bool = False
    labs: frozenset[str] = frozenset()
    templates: frozenset[str] = frozenset()
    volumes: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Everything:
    """:param labs: also those of which only leftovers exist. :param boxes: with their versions, as images.

    :param added: boxes in Vagrant's store. :param records: projects in Vagrant's machine index that are not labs.
    :param stays: what is kept, one sentence each.
    """

    labs: list[str]
    templates: list[str]
    boxes: list[str]
    images: list[str]
    added: list[str]
    records: list[str]
    in_libvirt: InLibvirt
    directories: list[Path]
    stays: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, object]]:
        dissolved = self.in_libvirt.pool and not self.in_libvirt.others
        kinds = {
            "lab": self.labs,
            "template": self.templates,
            "box": self.boxes,
            "image": self.images,
            "box in Vagrant's store": self.added,
            "entry in Vagrant's machine index": self.records,
            "volume": self.in_libvirt.volumes,
            "network": self.in_libvirt.probes,
            "storage pool": [LOCAL.libvirt.pool] if dissolved else [],
            "directory": map(str, self.directories),
        }
        return [{"kind": kind, "name": name} for kind, names in kinds.items() for name in names]


def find() -> Everything:
    """:raises HostError: libvirt does not answer, and may have objects of labgen's."""
    found = in_libvirt()
    labs = {*homes.labs(), *registry.load().subnets, *found.labs}
    bare = vagrant_store.is_bare()
    return Everything(
        labs=sorted(labs),
        templates=sorted({*templates.keys(), *found.templates}),
        boxes=[f"{box.name} {box.version}" for box in built()],
        images=[image.reference for name in images.known() for image in images.built(name)],
        added=vagrant_store.boxes(),
        records=[record for record in vagrant_store.records() if Path(record).name not in labs],
        in_libvirt=found,
        directories=[*homes.to_remove(), *([paths.vagrant_home()] if bare else [])],
        stays=list(_staying(found, bare)),
    )


def libvirt_was_used() -> bool:
    """If no lab was ever created or attempted, libvirt need not even run."""
    return LOCAL.has(LOCAL.libvirt.directory) or bool(homes.labs())


def in_libvirt() -> InLibvirt:
    """:raises HostError: libvirt does not answer."""
    if not libvirt_was_used():
        return InLibvirt()
    owner = data_home.known_owner() or orphans.NOBODY
    with LOCAL.connect() as hypervisor:
        there = hypervisor.pool.is_there()  # listing the volumes of a missing pool would create it
        volumes = hypervisor.pool.volumes("") if there else []
        lies_on = hypervisor.pool.overlays() if there else {}
        networks = [each.name for each in hypervisor.networks()]
        domains = [each.name for each in hypervisor.domains(f"{owner}_")]
        ours = (f"{owner}_", *_of_labs_of_0_1_0(owner, hypervisor))
    kept = templates.memory_volumes(owner)
    memory = [name for name in volumes if name.startswith(kept)]
    shared = [name for name in volumes if name.startswith((BOX_VOLUMES, RECEIVED_BOXES)) or name == PROBE]
    others = {name for name in volumes if not name.startswith(ours)} - {*memory, *shared}
    used = {lies_on.get(name) for name in others}
    if orphans.others_have_templates(volumes, owner):
        used |= {name for name in shared if name.startswith(BOX_VOLUMES)}
    return InLibvirt(
        pool=there,
        labs=frozenset(lab for name in (*volumes, *networks, *domains) if (lab := orphans.lab_of(name, owner))),
        templates=frozenset(name.removeprefix(kept).partition(".")[0] for name in memory),
        volumes=tuple(name for name in shared if name not in used),
        probes=tuple(name for name in networks if name == PROBE),
        others=(*sorted(others), *(name for name in shared if name in used)),
    )


def _of_labs_of_0_1_0(owner: str, hypervisor: Hypervisor) -> Iterator[str]:
    """The name prefixes of labs that labgen 0.1.0 created under a separate id, which destroy removes as well."""
    for lab in homes.labs():
        with contextlib.suppress(HypervisorError):  # destroy refuses such a lab, and whatever it has is kept
            yield f"{owner_of(lab, owner, hypervisor)}_{lab}_"


def _staying(in_libvirt: InLibvirt, bare: bool) -> Iterator[str]:
    for path in homes.strange():
        yield f"{path} is kept: labgen did not create it."
    if in_libvirt.others:
        yield f"libvirt's storage pool {LOCAL.libvirt.pool} is kept: it has volumes that are not yours:"
        yield from (f"  {name}" for name in in_libvirt.others)
    if not bare and (vagrant_store.boxes() or vagrant_store.records()):
        yield f"{paths.vagrant_home()} is kept: it contains more than labgen has added."


def built() -> list[boxes.Box]:
    """All versions of all boxes that were built here."""
    return [box for name in boxes.known() for box in boxes.built(name)]
