"""The records of templates: labs as they were before their clusters existed, for the next ones of the same profile.

A template is its record and its disks' copies in the cache, and its machines' memory in libvirt's pool. The record is
written last: without it, the rest is a leftover.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from labgen import paths
from labgen.errors import LabgenError
from labgen.progress import Progress
from labgen.records import data_home
from labgen.records.record import Content, Kind
from labgen.turns import is_held, turn

MEMORY = ".template-"  # in the names of volumes with their memory, after the data home's id
TURN_LIMIT = 300  # seconds


@dataclass(frozen=True)
class Template:
    """:param owner: the data home's id. :param box: name and version.

    :param base: the volume that the root disks are based on, and its fingerprint.
    :param machine: QEMU's machine type. :param slots: of each node's devices; see :class:`labgen.domain.Hardware`.
    :param size: in bytes, of everything.
    """

    key: str
    owner: str
    created: str
    box: tuple[str, str]
    base: tuple[str, str]
    machine: str
    slots: Mapping[str, Mapping[str, str]]
    size: int


def _with_slots_by_node(content: Content) -> Content:
    """In schema 1, all nodes had the same slots. No create finds such a template now, but it still has its size."""
    return {**content, "slots": {}}


_KIND = Kind(Template, (_with_slots_by_node,))


def save(template: Template) -> None:
    _KIND.save(paths.template_record(template.key), template)


def find(key: str) -> Template | None:
    """None: there is none, or its record cannot be read, which has the same effect."""
    try:
        found = _KIND.load(paths.template_record(key))
        return found if found.key == key else None
    except (OSError, ValueError, LabgenError):
        return None


def every() -> list[Template]:
    """All complete templates, the least recently used first."""
    found = [template for key in keys() if (template := find(key))]
    return sorted(found, key=lambda each: paths.template_record(each.key).stat().st_mtime)


def keys() -> list[str]:
    """The keys of all templates, including incomplete ones."""
    try:
        return sorted(path.name for path in paths.templates().iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def used(key: str) -> None:
    """Records that it was used now."""
    os.utime(paths.template_record(key))


def remove(key: str) -> None:
    """Removes the record and the copies; the memory belongs to libvirt."""
    paths.template_record(key).unlink(missing_ok=True)
    shutil.rmtree(paths.template(key), ignore_errors=True)


def disk(key: str, node: str, name: str) -> Path:
    """The copy of a node's disk. :param name: the disk's; see :func:`labgen.domain.volumes`."""
    return paths.template(key) / f"{node}.{name}"


def memory_volumes(owner: str) -> str:
    """The name prefix of the volumes with the memory of a data home's templates, up to a template's key."""
    return f"{owner}{MEMORY}"


def memory_volumes_of(key: str) -> str:
    """The name prefix of the volumes with a template's memory, up to the node's name."""
    return f"{memory_volumes(data_home.owner())}{key}."


def memory_volume(key: str, node: str) -> str:
    """The volume with a node's memory."""
    return f"{memory_volumes_of(key)}{node}.memory"


def locked(key: str, progress: Progress) -> AbstractContextManager[None]:
    """Held by any process that makes, uses or removes the template.

    :raises LabgenError: another process holds it for too long.
    """
    why = "another labgen process is using the template of this profile"
    resolution = "End it, or create the lab with --cold."
    return turn(paths.template_lock(key), TURN_LIMIT, why, resolution, progress)


def is_locked(key: str) -> bool:
    """Whether a process is making, using or removing it at this moment."""
    return is_held(paths.template_lock(key))
