"""A lab's stored events: JSON, one per line, in ``logs/events.jsonl``; the older ones next to it, in ``.1``.

Only complete lines count: lines left half-written by a full disk or a killed labgen process are skipped.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from labgen import paths
from labgen.progress import Event

LARGEST = 2**20  # bytes of each of the two files
POLL = 0.3  # seconds between two checks for more


@dataclass(frozen=True)
class Entry(Event):
    """An event with the command that it belongs to.

    :param command: without its arguments, as ``checkpoint save``. :param version: labgen's.
    :param exit_code: of the command, once it has ended.
    """

    command: str = ""
    version: str = ""
    exit_code: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "time": self.time.isoformat(timespec="milliseconds")}


def append(lab: str, entries: Sequence[Entry], *, begin: bool = True) -> None:
    """Appends entries; several processes may do so at once.

    :param begin: create the file if it is missing.
    :raises FileNotFoundError: there is no file, or the lab has no directory.
    :raises OSError: from the file system.
    """
    path = paths.events(lab)
    if begin:
        path.parent.mkdir(exist_ok=True)
    lines = "".join(json.dumps(entry.to_json(), ensure_ascii=False) + "\n" for entry in entries)
    data = lines.encode("utf-8", "replace")  # file names need not be valid text
    with _at_the_end(path, begin) as (descriptor, size):
        if size == 0 or size + len(data) <= LARGEST:
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + data if is_torn else data)
            return
        path.replace(paths.former_events(lab))
    append(lab, entries)


def every(lab: str) -> Iterator[Entry]:
    """All stored events, oldest first. :raises OSError: from the file system."""
    with contextlib.ExitStack() as stack:
        for file in _files(lab, stack):
            yield from _Lines(file).more()


def follow(lab: str) -> Iterator[Entry]:
    """All stored and all further events, until the lab is destroyed. :raises OSError: from the file system."""
    with contextlib.ExitStack() as stack:
        files = _files(lab, stack)
        for former in files[:-1]:
            yield from _Lines(former).more()
        lines = _Lines(files[-1]) if files else None
        while True:
            # Checked before the last read: once a file has been renamed, nothing is added to it any more.
            is_last = lines is None or not _is_at(paths.events(lab), lines.file.fileno())
            if lines:
                yield from lines.more()
            if is_last and (file := _opened(paths.events(lab), stack)):
                lines = _Lines(file)
            elif is_last and not paths.lab(lab).exists():
                return
            else:
                time.sleep(POLL)


class _Lines:
    """The entries of a file, as far as they have been written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._rest = b""  # of a line that is not complete yet

    def more(self) -> Iterator[Entry]:
        """The entries that are new since the last call."""
        *lines, self._rest = (self._rest + self.file.read()).split(b"\n")
        yield from filter(None, map(_entry, lines))


def _entry(line: bytes) -> Entry | None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
        entry = msgspec.json.decode(line, type=Entry)
        if entry.time.tzinfo:
            return entry
    return None


@contextlib.contextmanager
def _at_the_end(path: Path, begin: bool) -> Iterator[tuple[int, int]]:
    """The file, locked so that nobody else appends to it in the meantime, and its size in bytes."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if begin else 0), 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                yield descriptor, os.fstat(descriptor).st_size
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _files(lab: str, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """The former file and the current one, as far as they exist; the current one last."""
    present = _opened(paths.events(lab), stack)  # first: if it is renamed in the meantime, it is found below
    former = _opened(paths.former_events(lab), stack)
    if former and present and os.path.sameopenfile(former.fileno(), present.fileno()):
        return [present]
    return [file for file in (former, present) if file]


def _opened(path: Path, stack: contextlib.ExitStack) -> BinaryIO | None:
    try:
        return stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None
