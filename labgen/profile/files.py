"""Reading a file about which nothing is known."""

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_text(path: Path, limit: int) -> str:
    """The text of a small regular file. Never blocks, and never reads more than the limit.

    :param limit: the largest size, in bytes.
    :raises ValueError: it is missing, unreadable, not a regular file, too large or not UTF-8 text; the message
        continues a sentence that begins with the file's name.
    """
    try:
        data = _read(path, limit)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise ValueError(f"is larger than {limit // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 text (line {line}, byte {error.start})") from error


def _read(path: Path, limit: int) -> bytes:
    """At most one byte more than the limit."""
    _require_regular(path.stat().st_mode)  # before opening it: opening alone moves some devices
    # If a pipe has replaced the file by now, it does not block, and the second check refuses it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _require_regular(os.fstat(descriptor).st_mode)
        return file.read(limit + 1) or b""  # None if it would have to wait, as in /proc/kmsg


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ValueError(f"is {_KINDS.get(stat.S_IFMT(mode), 'no ordinary file')}, not a file")
