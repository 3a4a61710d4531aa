"""Vagrant's own store of boxes and its machine index: labgen's additions, and whether anything else is in it."""

import fnmatch
import shutil
from pathlib import Path

from labgen import paths, vagrant
from labgen.files import read_json
from labgen.paths import BOX_VOLUMES as OURS  # Vagrant's libvirt provider names volumes as Vagrant names directories
from labgen.vagrant import INDEX

# Files that Vagrant creates and recreates by itself (a well-known key, locks, scratch files), and labgen's additions.
BARE = (
    f"boxes/{OURS}*",
    INDEX,
    "setup_version",
    "insecure_private_key",
    "insecure_private_keys/*",
    "rgloader/loader.rb",
    "tmp/*",
    "data/lock.*.lock",
    f"{INDEX}.lock",
)


def boxes() -> list[str]:
    """Vagrant's names of the boxes that labgen added."""
    directories = (paths.vagrant_home() / "boxes").glob(f"{OURS}*")
    return sorted(path.name.replace(paths.VAGRANTS_SLASH, "/") for path in directories)


def records() -> list[str]:
    """The directories of the labs in the machine index."""
    return sorted({path for path in _indexed() or () if _is_lab(path)})


def is_bare() -> bool:
    """Whether the store contains only files that Vagrant creates by itself and labgen's additions."""
    store, indexed = paths.vagrant_home(), _indexed()
    if not store.is_dir() or store.is_symlink() or indexed is None:
        return False
    files = [path.relative_to(store) for path in store.rglob("*") if path.is_symlink() or not path.is_dir()]
    return all(map(_is_lab, indexed)) and all(map(_is_bare, files))


def clear() -> None:
    """Removes labgen's additions, and the store if nothing else is in it.

    :raises HeldError: another process holds the index for too long.
    """
    vagrant.forget(paths.labs())
    for name in boxes():
        vagrant.remove_box(name)
    if is_bare():
        shutil.rmtree(paths.vagrant_home())


def _is_lab(directory: str) -> bool:
    try:
        return Path(directory).resolve().is_relative_to(paths.labs())
    except ValueError:  # it is not a possible path
        return False


def _is_bare(file: Path) -> bool:
    return any(fnmatch.fnmatch(str(file), pattern) for pattern in BARE)


def _indexed() -> list[str] | None:
    """The directories of the projects whose machines are in the index; None if it cannot be read."""
    index = paths.vagrant_home() / INDEX
    if not index.is_file():
        return []
    try:
        return [str(each["vagrantfile_path"]) for each in read_json(index)["machines"].values()]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
