"""labgen's files: a crash or power failure leaves the old or the new version, and readers expect damage."""

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
    """The contents of one of labgen's files, which may have been damaged since it was written.

    :raises ValueError: it is not JSON. :raises OSError: the file system's error.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_text(path: Path) -> str:
    """The contents of a lab's text file.

    :raises HostError: it is not text. :raises OSError: the file system's error.
    """
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise HostError(
            "one of the lab's files is damaged",
            f"{path}: {error}",
            "Restore it, or remove the lab: labgen destroy NAME",
        ) from error


def read_limited(path: Path, most: int) -> bytes:
    """The contents of a file that a user has given.

    :param most: bytes. :raises ValueError: it has more. :raises OSError: the file system's error.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most // 2**20} MiB")
    return content


def require_writable(directory: Path) -> None:
    """:raises PermissionError: the directory exists, but nothing may be created or removed in it."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))


def require_removable(directory: Path) -> None:
    """:raises PermissionError: the directory exists, but something in it, at any depth, cannot be removed."""
    require_writable(directory)
    for each in directory.iterdir():
        if each.is_dir() and not each.is_symlink():
            require_removable(each)


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Replaces a file's content in one step. :param content: text is written as UTF-8.

    :raises OSError: the file system's error; the old content is kept.
    """
    with _written_beside(path, content, mode) as temporary:
        temporary.replace(path)
    _sync(path.parent)


def create_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Creates a new file in one step; if several callers try at the same time, one succeeds.

    :raises FileExistsError: it already exists. :raises OSError: the file system's error; no file is left.
    """
    with _written_beside(path, text, mode) as temporary:
        path.hardlink_to(temporary)
    _sync(path.parent)


@contextlib.contextmanager
def _written_beside(path: Path, content: str | bytes, mode: int) -> Iterator[Path]:
    """Writes the content to a file in the same directory, which is removed afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Flushes a directory: a file's name is on disk only once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
