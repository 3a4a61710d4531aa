"""Building an image: mmdebstrap unpacks Debian's packages, umoci makes the image, one rename completes it."""

import copy
import fnmatch
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from labgen import mmdebstrap, paths, recipes
from labgen.errors import ImageError
from labgen.files import write_atomically
from labgen.images import archive, oci, recipe, store
from labgen.images.recipe import Recipe
from labgen.images.store import BuiltImage
from labgen.progress import Progress
from labgen.surroundings import PROXIES, environment
from labgen.turns import turn

PROGRAMS = {"mmdebstrap": "mmdebstrap", **oci.PROGRAMS}
BUILD_LIMIT = 1800  # seconds to wait for another build
SCRATCH_PREFIX = ".building-"
STAGES = {
    "I: running apt-get update": "fetching the package lists",
    "I: downloading packages": "downloading packages",
    "I: extracting archives": "unpacking the packages",
}
# What mmdebstrap takes from this host, what only apt needs, and what nobody reads in a container.
LEFT_OUT = (
    "dev/*",
    "etc/apt/*",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/c[!o]*",
    "usr/share/info/*",
    "usr/share/lintian/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/*",
    "var/lib/apt/*",
    "var/lib/dpkg/*",
    "var/log/*",
)


def ensure(name: str, progress: Progress) -> BuiltImage:
    """The image of the current recipe, built if this host does not have it.

    :raises ImageError: unknown name, something missing on the host, or the build failed.
    """
    if found := store.find(name):
        return found
    with _only_build(progress):
        return store.find(name) or _build(recipe.load(name), progress)


def build(name: str, progress: Progress) -> BuiltImage:
    """Builds an image with Debian's current packages, even if there is one.

    If an existing image has exactly this content, that image is returned unchanged.

    :raises ImageError: unknown name, something missing on the host, or the build failed.
    """
    wanted = recipe.load(name)
    with _only_build(progress):
        return _build(wanted, progress)


def _only_build(progress: Progress) -> AbstractContextManager[None]:
    resolution = "Wait until it is built, or stop that build."
    return turn(paths.image_lock(), BUILD_LIMIT, "another image is being built", resolution, progress)


def _build(wanted: Recipe, progress: Progress) -> BuiltImage:
    _check_host()
    for left in paths.images().glob(SCRATCH_PREFIX + "*"):  # of a killed build: nobody else builds now
        shutil.rmtree(left, ignore_errors=True)
    progress.step(f"building the image {wanted.name}", stage="build-image")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=paths.images()))
        try:
            _unpack_packages(wanted, scratch, progress)
            return _publish(wanted, scratch, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except PermissionError:
        raise
    except OSError as error:
        raise ImageError(
            f"The image '{wanted.name}' cannot be written",
            str(error),
            f"Check the free space: df -h {paths.images()}",
        ) from error


def _check_host() -> None:
    path = environment()["PATH"]
    if missing := [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]:
        raise ImageError(
            "This host cannot build images: programs are missing",
            "Missing Debian packages: " + ", ".join(missing),
            "sudo apt install --no-install-recommends " + " ".join(missing),
        )


def _unpack_packages(wanted: Recipe, scratch: Path, progress: Progress) -> None:
    """Runs mmdebstrap, which leaves ``scratch/packages.tar``."""
    own = {"SOURCE_DATE_EPOCH": "0"}
    if os.geteuid() == 0:
        own["TMPDIR"] = str(scratch)
    log = paths.image_log(wanted.name)
    argv = [
        *mmdebstrap.PROGRAM,
        mmdebstrap.mode(),
        "--variant=extract",
        "--architectures=amd64",
        "--include=" + ",".join(wanted.packages),
        wanted.suite,
        "packages.tar",
    ]
    status = mmdebstrap.run(
        argv,
        scratch,
        environment(PROXIES, **own),
        log,
        STAGES,
        lambda stage: progress.step(f"building the image {wanted.name}: {stage}", stage="build-image"),
    )
    if status:
        raise ImageError(
            f"Building the image '{wanted.name}' failed",
            mmdebstrap.evidence(log.read_text(errors="replace")),
            f"Full output of mmdebstrap: {log}\nIf a download failed, try again: labgen image build {wanted.name}",
        )


def _publish(wanted: Recipe, scratch: Path, progress: Progress) -> BuiltImage:
    """Completes the image and renames it into the store."""
    progress.step(f"building the image {wanted.name}: packing it", stage="build-image")
    _pack_layer(wanted, scratch / "packages.tar", scratch / "layer.tar")
    out = scratch / "out"
    out.mkdir()
    oci.archive(scratch / "layer.tar", wanted, out / store.ARCHIVE)
    (image,) = archive.read(out / store.ARCHIVE)
    if existing := next((each for each in store.built(wanted.name) if _is_same(each, image.id, wanted)), None):
        return existing
    content = {
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": image.id,
        "recipe": wanted.digest,
        "reference": wanted.reference,
    }
    write_atomically(out / store.LOCK, json.dumps(content, indent=2) + "\n")
    target = paths.images() / wanted.name / image.id.removeprefix("sha256:")[:12]
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)  # without a lock.json, or of another recipe with the same content
    os.sync()
    out.rename(target)
    return BuiltImage(wanted.name, target, **content)


def _is_same(built: BuiltImage, image_id: str, wanted: Recipe) -> bool:
    return built.id == image_id and built.recipe == wanted.digest


def _pack_layer(wanted: Recipe, packages: Path, target: Path) -> None:
    """Packs what is needed of the packages, with the recipe's files and links over it."""
    over = {*wanted.files(), *wanted.links, *wanted.writable}
    with tarfile.open(packages) as given, tarfile.open(target, "w") as layer:
        for member in given:
            path = member.name.removeprefix("./").rstrip("/")
            if path and path not in over and not _matches(path, (*LEFT_OUT, *wanted.leave_out)):
                _add(layer, given, member, path)
        _add_missing_parents(layer, over)
        recipes.pack(layer, wanted.files())
        for path, to in wanted.links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, to
            layer.addfile(member)
        for path in wanted.writable:
            member = _directory(path)
            member.uid, member.gid = wanted.owner
            layer.addfile(member)


def _add(layer: tarfile.TarFile, given: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = given.extractfile(member) if member.isreg() else None
    member = copy.copy(member)
    member.name, member.pax_headers = path, {}
    member.linkname = member.linkname.removeprefix("./") if member.islnk() else member.linkname
    layer.addfile(member, content)


def _add_missing_parents(layer: tarfile.TarFile, paths_over: Collection[str]) -> None:
    """Docker 20.10 would create them for root only."""
    there = {member.name for member in layer.getmembers()}
    parents = {str(parent) for path in paths_over for parent in PurePosixPath(path).parents} - {"."}
    for parent in sorted(parents - there):
        layer.addfile(_directory(parent))


def _directory(path: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


def _matches(path: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
