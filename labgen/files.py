"""Our files: written so that a crash or a power cut leaves the old or the new one, read as what may be damaged."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labgen.errors import HostError


def read_json(path: Path) -> Any:
    """What a file of ours holds, which anybody may have damaged since.

    :raises ValueError: it is not JSON. :raises OSError: as from the file system.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_text(path: Path) -> str:
    """What a file of a lab holds, if it is text.

    :raises HostError: it is none. :raises OSError: as from the file system.
    """
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise HostError(
            "one of the lab's files is damaged",
            f"{path}: {error}",
            "Restore it, or remove the lab: labgen destroy NAME",
        ) from error


def require_writable(directory: Path) -> None:
    """:raises PermissionError: nothing may be made or removed in a directory that is there."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))


def require_removable(directory: Path) -> None:
    """:raises PermissionError: something in a directory that is there, or below it, cannot be removed."""
    require_writable(directory)
    for each in directory.iterdir():
        if each.is_dir() and not each.is_symlink():
            require_removable(each)


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaces a file's content in one step.

    :raises OSError: as from the file system; the old content is then still there.
    """
    with _written_beside(path, text, mode) as temporary:
        temporary.replace(path)
    _sync(path.parent)


def create_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Makes a file that is not there yet, in one step; of several that try at once, one does.

    :raises FileExistsError: it is there already. :raises OSError: as from the file system; nothing is there then.
    """
    with _written_beside(path, text, mode) as temporary:
        path.hardlink_to(temporary)
    _sync(path.parent)


@contextlib.contextmanager
def _written_beside(path: Path, text: str, mode: int) -> Iterator[Path]:
    """The content in a file in the same directory, which is gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """A name is on the disk only once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
