"""One after the other: whoever wants what another labgen holds waits for its turn."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from labgen.errors import LabgenError
from labgen.progress import Progress


@contextlib.contextmanager
def turn(file: Path, limit: float, why: str, resolution: str, progress: Progress) -> Iterator[None]:
    """Holds a lock, which the kernel releases when the process ends, however it ends.

    :param limit: seconds to wait. :param why: what the wait is for, as: another lab is being booted.
    :raises LabgenError: somebody else holds it for longer; with that resolution.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        progress.step(f"waiting: {why}")
        try:
            lock.acquire(timeout=limit)
        except Timeout as error:
            raise LabgenError(
                f"gave up waiting: {why}", f"for more than {limit:.0f} s; the lock is {file}", resolution
            ) from error
    try:
        yield
    finally:
        lock.release()
