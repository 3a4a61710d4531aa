"""The data and the cache home: labgen's files in them, and their removal. Unknown files are kept."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from labgen import paths, turns
from labgen.errors import ProfileError
from labgen.profile.naming import lab_name
from labgen.records import journals

LOCK = "*.lock"


def labs() -> list[str]:
    """The labs that have a directory; a directory with a name that no lab can have is not labgen's."""
    return [name for name in journals.names() if _is_lab_name(name)]


def refuse_busy() -> None:
    """:raises BusyError: another labgen process is at work in these homes."""
    builds = (paths.build_lock(), paths.image_lock())
    files = [*paths.locks().glob(LOCK), *paths.templates().glob(LOCK), paths.registry_lock(), *builds]
    held = sorted(file for file in files if turns.is_held(file))
    if held:
        raise journals.BusyError(
            "another labgen process is running",
            "\n".join(f"{file} is {turns.holder(file) or 'held'}" for file in held),
            "Wait until it has ended, or stop it, and run the same command again.",
        )


def to_remove() -> list[Path]:
    """The homes that contain anything of labgen's; an empty directory of labgen's counts too."""
    empty = [each for each in (paths.labs(), paths.locks(), *_homes()) if each.is_dir() and not any(each.iterdir())]
    own = [*_trees(), *_files(), *paths.locks().glob(LOCK), *map(paths.lab, labs()), *empty]
    return [home for home in _homes() if any(each.is_relative_to(home) for each in own)]


def strange() -> list[Path]:
    """The files in the homes that are not labgen's."""
    own = {paths.labs(), paths.locks(), *_trees(), *_files(), *paths.locks().glob(LOCK), *map(paths.lab, labs())}
    known = (*_homes(), paths.labs(), paths.locks())
    return sorted({path for directory in known if directory.is_dir() for path in directory.iterdir()} - own)


def remove() -> None:
    """Removes everything of labgen's except labs, which are destroyed one by one; directories only if they are empty.

    :raises HeldError: another labgen process has begun to work in the meantime.
    """
    with _locked(paths.build_lock()), _locked(paths.image_lock()):
        for tree in _trees():
            shutil.rmtree(tree)
    with contextlib.ExitStack() as held:
        for file in (*paths.locks().glob(LOCK), paths.registry_lock()):
            held.enter_context(_locked(file))
        for file in (*paths.locks().glob(LOCK), *_files()):
            file.unlink()
    for directory in filter(None, (paths.labs(), paths.locks(), *_homes(), paths.labgen_home())):
        with contextlib.suppress(OSError):  # it does not exist, or is not empty
            directory.rmdir()


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds a lock, if its file exists."""
    with turns.lock(file) if file.exists() else contextlib.nullcontext():
        yield


def _is_lab_name(text: str) -> bool:
    try:
        return lab_name(text) == text
    except ProfileError:
        return False


def _homes() -> list[Path]:
    return [paths.cache_home(), paths.data_home()]


def _trees() -> list[Path]:
    """The directories whose entire contents are labgen's."""
    trials = paths.data_home().glob(paths.trial("*").name)
    trees = (paths.boxes(), paths.images(), paths.templates(), paths.vagrant_view(), paths.archive(), *trials)
    return [tree for tree in trees if tree.is_dir() and not tree.is_symlink()]


def _files() -> list[Path]:
    """The files, including temporary files next to them that a killed labgen process left."""
    files = [paths.identity(), paths.registry(), paths.registry_lock(), paths.accelerator(), paths.fault()]
    begun = [path for file in files for path in file.parent.glob(f".{file.name}.*")]
    return [file for file in (*files, *begun) if file.is_file()]
