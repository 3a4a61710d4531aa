"""Turns an operating system's refusal into a LabgenError.

The most common cause is a file owned by root that ``sudo labgen`` has left in the user's home.
"""

import contextlib
import errno
import os
import pwd
import shlex
from collections.abc import Iterator
from pathlib import Path

from labgen import paths
from labgen.errors import HostError, LabgenError

ROOT = 0
_ELSEWHERE = "or set LABGEN_HOME to another directory for everything that labgen stores."


def explained(error: OSError) -> LabgenError:
    """A HostError if it is about labgen's own files on this host; any other file was chosen by the user."""
    path = Path(error.filename) if isinstance(error.filename, str) else None  # it may be missing, or a number
    if path is None or not _is_ours(path):
        return _as_it_is(error)
    said = f"{error.strerror}: {path}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _denied(path, said)
    if error.errno == errno.EROFS:
        return HostError(
            "labgen cannot write its files: their file system is read-only", said, _or_elsewhere("Remount it")
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        place = next(each for each in (path, *path.parents) if each.exists())
        return HostError(f"{place} is not a directory", said, _or_elsewhere("Move it away"))
    if error.errno == errno.EISDIR:
        return HostError(f"{path} is a directory, and should be a file", said, "Move it away.")
    return _as_it_is(error)


def _as_it_is(error: OSError) -> LabgenError:
    if error.filename is None and error.errno == errno.ENOENT and _is_nowhere():
        return LabgenError("the current directory no longer exists", resolution="Change to another one: cd")
    return LabgenError(error.strerror or str(error), str(error.filename or ""))


def _is_nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _or_elsewhere(remedy: str) -> str:
    return f"{remedy}, {_ELSEWHERE}"


def _denied(path: Path, said: str) -> HostError:
    place, owner = _nearest(path)
    me, root = _name(os.geteuid()), _user_home()
    if root and place.is_relative_to(root) and (of_home := root.stat().st_uid) != os.geteuid():
        brief = f"the home directory {root} belongs to {_name(of_home)}, and labgen runs as {me}"
        return HostError(brief, said, "Set HOME to your own home directory.")
    brief = f"{place} belongs to {_name(owner)}, and labgen runs as {me}"
    if owner == os.geteuid():
        brief = f"{place} cannot be used, though it belongs to {me}"
        recursively = "-R " if any(place.is_relative_to(home) for home in _homes()) else ""
        return HostError(brief, said, f"Allow it: chmod {recursively}u+rwX {shlex.quote(str(place))}")
    whole = _whole(place, owner)
    if owner != ROOT or not _may_be_given(whole):
        return HostError(brief, said, _or_elsewhere(f"Ask {_name(owner)} for write permission"))
    return HostError(
        brief,
        said,
        f"If an earlier 'sudo labgen' caused this: sudo chown -R {me} {shlex.quote(str(whole))}",
    )


def _is_ours(path: Path) -> bool:
    """Whether labgen keeps its files there or below."""
    return any(path.is_relative_to(home) or home.is_relative_to(path) for home in _homes())


def _may_be_given(path: Path) -> bool:
    """Whether it can be chowned to the user: not a directory that also contains other users' files."""
    root = _user_home()
    return any(path.is_relative_to(home) for home in _homes()) or bool(root and root in path.parents)


def _homes() -> Iterator[Path]:
    for home in (paths.data_home, paths.cache_home, paths.vagrant_home):
        with contextlib.suppress(HostError):
            yield home()


def _user_home() -> Path | None:
    with contextlib.suppress(RuntimeError, OSError):
        return Path.home().resolve(strict=True)
    return None


def _nearest(path: Path) -> tuple[Path, int]:
    """The path, or its nearest parent directory that can be seen, and its owner's numeric id."""
    for each in (path, *path.parents):
        with contextlib.suppress(OSError):
            return each, each.stat().st_uid
    raise AssertionError("everyone may read /")


def _whole(path: Path, owner: int) -> Path:
    """The topmost directory around it that has the same owner and may be chowned to another user."""
    while _may_be_given(path.parent) and path.parent.stat().st_uid == owner:
        path = path.parent
    return path


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
