"""Boxes from bundles: volumes that imported disks are based on, named after their digest, shared by all labs."""

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path

from labgen import boxes, disks, paths
from labgen.bundle import Manifest
from labgen.errors import BundleError, LabgenError
from labgen.hypervisor import Hypervisor
from labgen.paths import RECEIVED_BOXES
from labgen.progress import Amount, Progress
from labgen.turns import HeldError, lock, turn

LARGEST = 64 * 2**30  # bytes that a box's disk may have
TURN_LIMIT = 900  # seconds


def locked(sha256: str, progress: Progress) -> AbstractContextManager[None]:
    """Held until the first disk is based on the box: no two imports store it at once, and no prune removes it.

    :raises LabgenError: another import holds it for too long.
    """
    why = "another lab with the same box is being imported"
    return turn(paths.base_lock(sha256), TURN_LIMIT, why, "Wait for that import, or stop it.", progress)


def place(image: Path, sha256: str, hypervisor: Hypervisor, progress: Progress) -> str:
    """Creates the box's volume, unless it exists. For a caller that holds its lock.

    :param image: the file with that digest. :return: the volume's name.
    """
    volume = f"{RECEIVED_BOXES}{sha256}.img"
    if volume in hypervisor.pool.volumes(volume):
        size = hypervisor.pool.sizes(volume)[volume]
        amount = Amount("checking this host's copy of the box", size, progress, stage="check-box")
        if hypervisor.pool.digest(volume, amount.more) == sha256:
            return volume
        hypervisor.pool.remove(volume)  # left half-written by an import that was killed
    amount = Amount("storing the box", image.stat().st_size, progress, stage="store-box")
    try:
        hypervisor.pool.upload(image, volume, amount.more)
    except BaseException:
        with contextlib.suppress(LabgenError):
            hypervisor.pool.remove(volume)
        raise
    return volume


def image(manifest: Manifest, part: Path | None) -> Path:
    """The box's image: the one in the bundle, or this host's own copy.

    :raises BundleError: it is not valid, or this host has none.
    """
    sha256 = manifest.box.sha256
    if part:
        if disks.digest(part) != sha256:
            raise BundleError("the bundle's box is not the one its disks are based on")
        disks.refuse_strange(part, LARGEST)
        return part
    for box in boxes.built(manifest.box.name):
        if box.version == manifest.box.version and disks.digest(box.image) == sha256:
            return box.image
    raise BundleError(
        f"the bundle was made without its box, {manifest.box.name} {manifest.box.version}, "
        "and this host does not have it",
        f"sha256 of the image: {sha256}",
        "Ask the sender for the box's directory, or for a bundle with the box in it.",
    )


def unused(hypervisor: Hypervisor) -> list[str]:
    """The volumes that no disk is based on."""
    used = hypervisor.pool.backings()
    return [volume for volume in hypervisor.pool.volumes(RECEIVED_BOXES) if volume not in used]


def remove_unused(hypervisor: Hypervisor) -> None:
    """Removes unused volumes, except those that an import is about to use."""
    for volume in unused(hypervisor):
        file = paths.base_lock(volume.removeprefix(RECEIVED_BOXES).removesuffix(".img"))
        with contextlib.suppress(HeldError), lock(file):
            if volume in unused(hypervisor):
                hypervisor.pool.remove(volume)
            file.unlink(missing_ok=True)
