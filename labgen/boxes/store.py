"""The built boxes on this host: ``boxes/NAME/VERSION/`` in the cache, each directory complete or absent.

box.img       the disk: zstd-compressed qcow2 with a boot loader
vmlinuz, initrd.img   the same kernel, for a boot without BIOS and GRUB
NAME.box      the same disk in Vagrant's format: a tar with metadata.json
catalog.json  read by "vagrant box add"; has the version and the checksum
lock.json     the contents of the box, down to every package version; the box's version is computed from it
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labgen import paths
from labgen.boxes import recipe
from labgen.errors import BoxError
from labgen.files import read_json

LOCK, IMAGE, CATALOG = "lock.json", "box.img", "catalog.json"
FIELDS = ("built", "recipe", "cmdline", "debian", "kernel", "docker")  # of lock.json, required in every box


@dataclass(frozen=True)
class Box:
    """A built box."""

    name: str  # as in profiles, e.g. "debian13"
    version: str  # e.g. "13.4.2891034581"
    directory: Path
    lock: dict[str, Any]  # see labgen.boxes.builder.lock()

    @property
    def vagrant_name(self) -> str:
        return vagrant_name(self.name)

    @property
    def image(self) -> Path:
        return self.directory / IMAGE

    @property
    def catalog(self) -> Path:
        return self.directory / CATALOG

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def cmdline(self) -> str:
        """The kernel command line, for a boot without BIOS and GRUB."""
        return str(self.lock["cmdline"])

    @property
    def emulated(self) -> str:
        """Additional kernel parameters under software emulation."""
        return str(self.lock.get("emulated", ""))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(p.stat().st_blocks * 512 for p in self.directory.iterdir())


def vagrant_name(name: str) -> str:
    return f"labgen/{name}"


def built(name: str) -> list[Box]:
    """All built versions of a box, newest first, whether or not the recipe has changed since."""
    found = [box for path in (paths.boxes() / name).glob("*/" + LOCK) if (box := _read(name, path))]
    return sorted(found, key=lambda box: str(box.lock["built"]), reverse=True)


def _read(name: str, lock: Path) -> Box | None:
    try:
        content = read_json(lock)
        if not all(isinstance(content[name], str) for name in FIELDS):
            return None
    except PermissionError:
        raise  # it is built, but belongs to another user
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (lock.parent / IMAGE).is_file():
        return None
    return Box(name, lock.parent.name, lock.parent, content)


def find(name: str, trimmed: bool = True) -> Box | None:
    """The newest box built from the current recipe, or None.

    :raises BoxError: no recipe has that name.
    """
    wanted = recipe.load(name, trimmed)
    return next((box for box in built(wanted.name) if box.lock["recipe"] == wanted.digest), None)


def listing() -> list[dict[str, Any]]:
    """One row for every built box, and one for every recipe without any."""
    rows: list[dict[str, Any]] = []
    for name in recipe.known():
        current = recipe.load(name).digest
        boxes = built(name)
        rows += [_row(box, "ready" if box.lock["recipe"] == current else "outdated") for box in boxes]
        if not boxes:
            rows.append({"name": name, "version": None, "state": "not built"})
    return rows


def _row(box: Box, state: str) -> dict[str, Any]:
    return {
        "name": box.name,
        "version": box.version,
        "state": state,
        "debian": box.lock["debian"],
        "kernel": box.lock["kernel"],
        "docker": box.lock["docker"],
        "size": box.size,
        "built": box.lock["built"],
        "directory": str(box.directory),
    }


def choose(name: str, version: str | None = None) -> list[Box]:
    """One built version of a box, or all of them.

    :raises BoxError: no recipe has that name, or that version is not built.
    """
    recipe.load(name)
    found = built(name)
    if version is None:
        return found
    if chosen := [box for box in found if box.version == version]:
        return chosen
    versions = ", ".join(box.version for box in found) or "none"
    raise BoxError(f"Box '{name}' {version} is not built", f"Built versions: {versions}", "labgen box list")


def remove(boxes: list[Box]) -> None:
    """Remove boxes from labgen's cache.

    Vagrant's and libvirt's copies are kept: the caller removes ``box.vagrant_name`` from Vagrant and, once no disk is
    based on it any more, the volume from libvirt's pool.

    :raises BoxError: a file cannot be removed. :raises PermissionError: the file belongs to another user.
    """
    for box in boxes:
        try:
            (box.directory / LOCK).unlink()  # first: without it this is no longer a box, even if labgen is killed now
            shutil.rmtree(box.directory)
        except PermissionError:
            raise
        except OSError as error:
            raise BoxError(f"Box '{box.name}' {box.version} cannot be removed", str(error)) from error
