"""A lab's events as they are kept: JSON, one a line, in ``logs/events.jsonl``; the older ones beside it, in ``.1``.

Only lines that are whole count: what a full disk, or a labgen that was killed, has left half-written is passed over.
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
POLL = 0.3  # seconds between two looks for more


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
    """Adds entries at the end; several processes may do so at once.

    :param begin: where there is no file, make one.
    :raises FileNotFoundError: there is no file, or the lab has no directory.
    :raises OSError: as from the file system.
    """
    path = paths.events(lab)
    if begin:
        path.parent.mkdir(exist_ok=True)
    lines = "".join(json.dumps(entry.to_json(), ensure_ascii=False) + "\n" for entry in entries)
    data = lines.encode("utf-8", "replace")  # names of files may be no text
    with _at_the_end(path, begin) as (descriptor, size):
        if size == 0 or size + len(data) <= LARGEST:
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + data if is_torn else data)
            return
        path.replace(paths.former_events(lab))
    append(lab, entries)


def every(lab: str) -> Iterator[Entry]:
    """All that are kept, oldest first. :raises OSError: as from the file system."""
    with contextlib.ExitStack() as stack:
        for file in _files(lab, stack):
            yield from _Lines(file).more()


def follow(lab: str) -> Iterator[Entry]:
    """All that are kept and all that come, until the lab is gone. :raises OSError: as from the file system."""
    with contextlib.ExitStack() as stack:
        files = _files(lab, stack)
        for former in files[:-1]:
            yield from _Lines(former).more()
        lines = _Lines(files[-1]) if files else None
        while True:
            # Asked before the last look: to a file that has another name by now, nothing is added any more.
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
    """The entries of a file, as far as there are any yet."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._rest = b""  # of a line that is incomplete yet

    def more(self) -> Iterator[Entry]:
        """Those that were not there before."""
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
    """The file, to which nobody else adds anything meanwhile, and its size in bytes."""
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
    """Whether an open file still goes by that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _files(lab: str, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """The former file and the present one, as far as they are there; the present one last."""
    present = _opened(paths.events(lab), stack)  # first: what it becomes meanwhile is found below
    former = _opened(paths.former_events(lab), stack)
    if former and present and os.path.sameopenfile(former.fileno(), present.fileno()):
        return [present]
    return [file for file in (former, present) if file]


def _opened(path: Path, stack: contextlib.ExitStack) -> BinaryIO | None:
    try:
        return stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None
