"""Boxes that came in bundles: volumes that imported disks lie on, called after their digest, of all labs alike."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from labgen import boxes, disks, paths
from labgen.bundle import Manifest
from labgen.errors import BundleError, LabgenError
from labgen.hypervisor import Hypervisor
from labgen.paths import RECEIVED_BOXES
from labgen.progress import Amount, Progress

LARGEST = 64 * 2**30  # bytes that a box's disk may have
TURN_LIMIT = 900  # seconds


@contextlib.contextmanager
def locked(sha256: str, progress: Progress) -> Iterator[None]:
    """Held until the first disk lies on the box: two imports do not store it at once, and no prune removes it.

    :raises LabgenError: another import holds it for long.
    """
    path = paths.base_lock(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        progress.step("waiting: another lab with the same box is being imported")
        try:
            lock.acquire(timeout=TURN_LIMIT)
        except Timeout as error:
            raise LabgenError(
                "another import is busy with the same box",
                f"for more than {TURN_LIMIT} s; the lock is {path}",
                "Wait for it, or end it.",
            ) from error
    try:
        yield
    finally:
        lock.release()


def place(image: Path, sha256: str, hypervisor: Hypervisor, progress: Progress) -> str:
    """Makes the box's volume, unless it is there. For a caller that holds its lock.

    :param image: of that digest. :return: the volume's name.
    """
    volume = f"{RECEIVED_BOXES}{sha256}.img"
    if volume in hypervisor.pool.volumes(volume):
        size = hypervisor.pool.sizes(volume)[volume]
        amount = Amount("checking the box that is here", size, progress)
        if hypervisor.pool.digest(volume, amount.more) == sha256:
            return volume
        hypervisor.pool.remove(volume)  # an import that was killed has left it half-written
    amount = Amount("storing the box", image.stat().st_size, progress)
    try:
        hypervisor.pool.upload(image, volume, amount.more)
    except BaseException:
        with contextlib.suppress(LabgenError):
            hypervisor.pool.remove(volume)
        raise
    return volume


def image(manifest: Manifest, part: Path | None) -> Path:
    """The box's image: the one that came along, or this host's own copy.

    :raises BundleError: it is not what it should be, or this host has none.
    """
    sha256 = manifest.box.sha256
    if part:
        if disks.digest(part) != sha256:
            raise BundleError("the bundle's box is not the one that its disks belong to")
        disks.refuse_strange(part, LARGEST)
        return part
    for box in boxes.built(manifest.box.name):
        if box.version == manifest.box.version and disks.digest(box.image) == sha256:
            return box.image
    raise BundleError(
        f"the bundle was made without its box, {manifest.box.name} {manifest.box.version}, and this host has no such",
        f"sha256 of the image: {sha256}",
        "Ask the sender for the box's directory, or for a bundle with the box in it.",
    )


def unused(hypervisor: Hypervisor) -> list[str]:
    """The volumes that no disk lies on."""
    used = hypervisor.pool.backings()
    return [volume for volume in hypervisor.pool.volumes(RECEIVED_BOXES) if volume not in used]


def remove_unused(hypervisor: Hypervisor) -> None:
    """Removes them, but for those that an import is about to use."""
    for volume in unused(hypervisor):
        lock = FileLock(paths.base_lock(volume.removeprefix(RECEIVED_BOXES).removesuffix(".img")))
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            if volume in unused(hypervisor):
                hypervisor.pool.remove(volume)
            Path(lock.lock_file).unlink(missing_ok=True)
