"""Building a box: mmdebstrap creates the root, its last hook creates the disk, and one rename completes the box."""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labgen import mmdebstrap, paths, recipes
from labgen.boxes import command, recipe, store
from labgen.boxes.recipe import Recipe
from labgen.boxes.store import Box
from labgen.errors import BoxError
from labgen.files import write_atomically
from labgen.progress import Progress
from labgen.surroundings import PROXIES, environment
from labgen.turns import turn

DISK_GIB = 10  # the box's virtual size; a node's root disk may be larger, and is then grown at boot
SCRATCH_GIB = 5  # the root, its file system, the disk and two compressed copies at the same time
BUILD_LIMIT = 3600  # seconds to wait for another build; one with ZFS takes many minutes
ROOT_UUID = "6c616267-656e-4000-8000-000000000001"  # "labgen": the same in every box, for reproducible builds
SCRATCH_PREFIX = ".building-"
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "qemu-img": "qemu-utils",
    "grub-mkimage": "grub-common",
    "xz": "xz-utils",
}
GRUB_BOOT = Path("/usr/lib/grub/i386-pc/boot.img")  # Debian package grub-pc-bin


def ensure(name: str, progress: Progress) -> Box:
    """Return the box of the current recipe, and build it if this host does not have it.

    :raises BoxError: unknown name, or the build failed.
    """
    found = store.find(name)
    if found:
        return found
    with _only_build(progress):
        return store.find(name) or _build(recipe.load(name), progress)


def build(name: str, progress: Progress, trimmed: bool = True) -> Box:
    """Build a box from its recipe with Debian's current packages, even if one already exists.

    If an existing box has exactly these packages, that box is returned unchanged.

    :param trimmed: see :func:`labgen.boxes.recipe.load`.
    :raises BoxError: unknown name, something missing on the host, or the build failed.
    """
    wanted = recipe.load(name, trimmed)
    with _only_build(progress):
        return _build(wanted, progress)


def _only_build(progress: Progress) -> AbstractContextManager[None]:
    """One build at a time on a host; the kernel releases the lock when its holder dies."""
    paths.boxes().mkdir(parents=True, exist_ok=True)
    resolution = "Wait until it is built, or stop that build."
    return turn(paths.build_lock(), BUILD_LIMIT, "another box is being built", resolution, progress)


def _build(wanted: Recipe, progress: Progress) -> Box:
    _check_host()
    remove_leftovers()
    progress.step(f"building box {wanted.name} (once; takes a few minutes)", stage="build-box")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=paths.boxes()))
        try:
            _debootstrap(wanted, scratch, progress)
            return _publish(wanted, scratch, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except PermissionError:
        raise
    except OSError as error:
        raise BoxError(
            f"Box '{wanted.name}' cannot be written", str(error), f"Check the free space: df -h {paths.boxes()}"
        ) from error


def missing_packages() -> list[str]:
    """The Debian packages that a build needs and that are missing on this host."""
    path = environment()["PATH"]
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]
    return missing if GRUB_BOOT.is_file() else [*missing, "grub-pc-bin"]


def _check_host() -> None:
    if missing := missing_packages():
        raise BoxError(
            "This host cannot build boxes: programs are missing",
            "Missing Debian packages: " + ", ".join(missing),
            "sudo apt install --no-install-recommends " + " ".join(missing),
        )
    free = shutil.disk_usage(paths.boxes()).free / 2**30
    if free < SCRATCH_GIB:
        raise BoxError(
            "Not enough disk space to build a box",
            f"{paths.boxes()} has {free:.1f} GiB free; a build needs {SCRATCH_GIB} GiB.",
            "Free some space, for example with: labgen box remove NAME",
        )


def remove_leftovers() -> None:
    """Remove the leftovers of a killed build. Called with the build lock held, so no build is still using them."""
    for path in paths.boxes().glob(SCRATCH_PREFIX + "*"):
        shutil.rmtree(path, ignore_errors=True)


def _debootstrap(wanted: Recipe, scratch: Path, progress: Progress) -> None:
    """Run mmdebstrap, which leaves its results in ``scratch/out``."""
    _pack_files(wanted, scratch / "files.tar")
    own = {"LABGEN_DISK_BYTES": str(DISK_GIB * 2**30), "LABGEN_ROOT_UUID": ROOT_UUID}
    if os.geteuid() == 0:
        own["TMPDIR"] = str(scratch)
    log = paths.box_log(wanted.name)
    status = mmdebstrap.run(
        command.command(wanted),
        scratch,
        environment(PROXIES, **own),
        log,
        command.STAGES,
        lambda stage: progress.step(f"building box {wanted.name}: {stage}", stage="build-box"),
    )
    if status:
        raise BoxError(
            f"Building box '{wanted.name}' failed",
            mmdebstrap.evidence(log.read_text(errors="replace"), command.hooks(wanted)),
            f"Full output of mmdebstrap: {log}\nIf a download failed, try again: labgen box build {wanted.name}",
        )


def _pack_files(wanted: Recipe, target: Path) -> None:
    with tarfile.open(target, "w") as tar:
        for layer in wanted.layers:
            recipes.pack(tar, layer.files())


def lock(wanted: Recipe, out: Path) -> dict[str, Any]:
    """The contents of the box, read from the files that the image hook left in ``out``."""
    versions = dict(line.split() for line in (out / "packages").read_text().splitlines())
    return {
        "recipe": wanted.digest,
        "suite": wanted.suite,
        "debian": (out / "debian_version").read_text().strip(),
        "kernel": (out / "kernel").read_text().strip(),
        "cmdline": (out / "cmdline").read_text().strip(),
        "emulated": (out / "emulated").read_text().strip(),
        "docker": versions["docker.io:amd64"].split("+")[0],
        "packages": versions,
    }


def version(content: dict[str, Any]) -> str:
    """A version number as Vagrant requires it: Debian's point release and 32 bits of the content's sha256."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{content['debian']}.{int(digest[:8], 16)}"


def _publish(wanted: Recipe, scratch: Path, progress: Progress) -> Box:
    """Complete ``scratch/out`` and rename it into the store."""
    out = scratch / "out"
    content = lock(wanted, out)
    number = version(content)
    target = paths.boxes() / wanted.name / number
    existing = next((box for box in store.built(wanted.name) if box.version == number), None)
    if existing:
        return existing
    progress.step(f"building box {wanted.name}: packing version {number}", stage="build-box")
    for name in ("packages", "debian_version", "kernel", "cmdline", "emulated"):
        (out / name).unlink()
    package = out / f"{wanted.name}.box"
    _pack_box(out / store.IMAGE, package)
    catalog = {
        "name": store.vagrant_name(wanted.name),
        "description": f"Debian {content['debian']}, Docker {content['docker']}, built by labgen",
        "versions": [
            {
                "version": number,
                "providers": [
                    {
                        "name": "libvirt",
                        "url": (target / package.name).as_uri(),
                        "checksum_type": "sha256",
                        "checksum": _sha256(package),
                    }
                ],
            }
        ],
    }
    write_atomically(out / store.CATALOG, json.dumps(catalog, indent=2) + "\n")
    stamped = {**content, "built": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(out / store.LOCK, json.dumps(stamped, indent=2, sort_keys=True) + "\n")
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)  # a directory without a lock.json is not a box
    os.sync()
    out.rename(target)
    return Box(wanted.name, number, target, stamped)


def _pack_box(image: Path, target: Path) -> None:
    metadata = json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GIB}).encode()
    with tarfile.open(target, "w") as tar:
        member = tarfile.TarInfo("metadata.json")
        member.size = len(metadata)
        tar.addfile(member, io.BytesIO(metadata))
        tar.add(image, arcname="box.img", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
