"""Locks for taking turns. The kernel releases them when their holder ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from labgen.errors import LabgenError
from labgen.progress import Progress

# Seconds. A process that only checks whether a lock is held also holds it briefly; that is no reason to give up.
MOMENT = 2
POLL = 0.02  # seconds between two attempts

_KERNELS_LOCKS = Path("/proc/locks")
_PROCESSES = Path("/proc")


class HeldError(LabgenError):
    """Another process holds a lock; the details name it if it can be determined."""


@contextlib.contextmanager
def lock(file: Path, limit: float = MOMENT) -> Iterator[None]:
    """:param limit: seconds to wait for it.

    :raises HeldError: another process holds it for longer.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = FileLock(file)
    try:
        held.acquire(timeout=limit, poll_interval=POLL)
    except Timeout as error:
        raise HeldError(f"{file} is locked", holder(file)) from error
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def turn(file: Path, limit: float, why: str, resolution: str, progress: Progress) -> Iterator[None]:
    """Waits for a lock, and reports that it waits.

    :param limit: seconds to wait. :param why: the reason for the wait, such as: another lab is being booted.
    :raises LabgenError: another process holds it for longer; with that resolution.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(file, 1))
        except HeldError as first:
            by = f" ({first.details})" if first.details else ""
            progress.step(f"waiting: {why}{by}", stage="wait")
            try:
                stack.enter_context(lock(file, limit))
            except HeldError as error:
                details = f"for more than {limit:.0f} s; the lock is {file}\n{error.details}"
                raise LabgenError(f"gave up waiting: {why}", details, resolution) from error
        yield


def is_held(file: Path) -> bool:
    """Whether a process holds the lock now. Several processes can check at once without disturbing each other."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(file: Path) -> str:
    """The holder of the lock, as ``held by process 4711: labgen export lab``; empty if it cannot be determined.

    The format is that of proc_locks(5).
    """
    with contextlib.suppress(OSError):
        inode = str(file.stat().st_ino)
        for line in _KERNELS_LOCKS.read_text().splitlines():
            match line.split():
                case [_, "FLOCK", _, "WRITE", process, place, *_] if place.endswith(f":{inode}"):
                    if _has_open(process, file):
                        return f"held by process {process}: {_command(process)}"
    return ""


def _has_open(process: str, file: Path) -> bool:
    """Whether a process has the file open. For other users' processes this is unknown."""
    with contextlib.suppress(OSError):
        return any(each.samefile(file) for each in (_PROCESSES / process / "fd").iterdir() if each.exists())
    return False


def _command(process: str) -> str:
    """A process's command as the user typed it, without the interpreter."""
    words = (_PROCESSES / process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    labgen = next((number for number, word in enumerate(words) if Path(word).name == "labgen"), None)
    return " ".join(words if labgen is None else ["labgen", *words[labgen + 1 :]])
