"""The records of templates: labs as they were before their clusters, for the next ones of the same profile.

A template is its record and its disks' copies in the cache, and its machines' memory in libvirt's pool. The record is
written last: without it the rest is a remainder.
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

    :param base: the volume that the root disks lie on, and its fingerprint.
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
    """In schema 1 all nodes had the same. Such a template is found by no create any more, but still has its size."""
    return {**content, "slots": {}}


_KIND = Kind(Template, (_with_slots_by_node,))


def save(template: Template) -> None:
    _KIND.save(paths.template_record(template.key), template)


def find(key: str) -> Template | None:
    """None: there is none, or its record cannot be read, which is as good."""
    try:
        found = _KIND.load(paths.template_record(key))
        return found if found.key == key else None
    except (OSError, ValueError, LabgenError):
        return None


def every() -> list[Template]:
    """All that are complete, the one longest unused first."""
    found = [template for key in keys() if (template := find(key))]
    return sorted(found, key=lambda each: paths.template_record(each.key).stat().st_mtime)


def keys() -> list[str]:
    """Also of those that are not complete."""
    try:
        return sorted(path.name for path in paths.templates().iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def used(key: str) -> None:
    """Notes that it was used now."""
    os.utime(paths.template_record(key))


def remove(key: str) -> None:
    """Removes record and copies; the memory is libvirt's."""
    paths.template_record(key).unlink(missing_ok=True)
    shutil.rmtree(paths.template(key), ignore_errors=True)


def disk(key: str, node: str, name: str) -> Path:
    """The copy of a node's disk. :param name: the disk's; see :func:`labgen.domain.volumes`."""
    return paths.template(key) / f"{node}.{name}"


def memory_volumes(owner: str) -> str:
    """What the volumes with the memory of a data home's templates are called in the pool, up to a template's key."""
    return f"{owner}{MEMORY}"


def memory_volumes_of(key: str) -> str:
    """What the volumes with a template's memory are called, up to the node's name."""
    return f"{memory_volumes(data_home.owner())}{key}."


def memory_volume(key: str, node: str) -> str:
    """The volume with a node's memory."""
    return f"{memory_volumes_of(key)}{node}.memory"


def locked(key: str, progress: Progress) -> AbstractContextManager[None]:
    """Held by whoever makes, uses or removes the template.

    :raises LabgenError: somebody else holds it for long.
    """
    why = "another labgen process is using the template of this profile"
    resolution = "End it, or create the lab with --cold."
    return turn(paths.template_lock(key), TURN_LIMIT, why, resolution, progress)


def is_locked(key: str) -> bool:
    """Whether somebody makes, uses or removes it at this moment."""
    return is_held(paths.template_lock(key))
