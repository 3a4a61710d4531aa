"""Disk images outside libvirt's pool. The only caller of qemu-img, except for the box build's hook.

An image from elsewhere is hostile until :func:`refuse_strange` has checked it: a qcow2 can refer to any file on this
host as part of its data (CVE-2024-4467 and similar).
"""

import hashlib
import json
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labgen.errors import BundleError, HostError
from labgen.surroundings import environment

INSPECT_LIMIT = 30  # seconds, and of memory:
INSPECT_MEMORY = 2**30  # bytes
HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")  # up to header_length; QEMU's docs/interop/qcow2.txt
MAGIC = b"QFI\xfb"
PERCENT = re.compile(r"\(([0-9.]+)/100%\)")
ALLOWED_FEATURES = 1 << 3  # incompatible: only the compression type; not dirty, corrupt, external data, extended L2


# Each conversion calls ``moved`` with the number of source bytes processed, piece by piece.


def delta(overlay: Path, base: Path, target: Path, moved: Callable[[int], None]) -> None:
    """Writes an overlay's changes to its base as a compressed image without a backing file.

    :param overlay: is rebased on ``base``, whatever its backing file was before.
    """
    attach(overlay, base)
    _convert(overlay, target, moved, "-f", "qcow2", *_COMPRESSED, "-B", str(base), "-F", "qcow2")
    _qemu_img("rebase", "-f", "qcow2", "-u", "-b", "", str(target))


def whole(source: Path, target: Path, moved: Callable[[int], None]) -> None:
    """Writes a compressed disk without a backing file."""
    _convert(source, target, moved, "-f", "qcow2", *_COMPRESSED)


def packed(source: Path, target: Path, moved: Callable[[int], None]) -> None:
    """Writes a regular file as a compressed image; its length is rounded up to 512 bytes."""
    _convert(source, target, moved, "-f", "raw", *_COMPRESSED)


def unpacked(source: Path, target: Path, moved: Callable[[int], None]) -> None:
    """Writes the regular file that :func:`packed` made an image of."""
    _convert(source, target, moved, "-f", "qcow2", "-O", "raw")


def attach(overlay: Path, base: Path | str) -> None:
    """Sets an overlay's backing file; the data of neither disk changes."""
    _qemu_img("rebase", "-f", "qcow2", "-u", "-b", str(base), "-F", "qcow2", str(overlay))


def digest(path: Path) -> str:
    """An image's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_strange(path: Path, largest: int) -> int:
    """Refuses an image unless it is a plain qcow2 without a backing file.

    :param largest: maximum size of the disk, in bytes. :return: its actual size.
    :raises BundleError: it is something else.
    """
    _check_header(path)
    info = _inspect(path)
    specific = info.get("format-specific", {}).get("data", {})
    strange = {
        "a backing file": info.get("backing-filename"),
        "a data file": specific.get("data-file"),
        "encryption": info.get("encrypted"),
        "snapshots": info.get("snapshots"),
        "bitmaps": specific.get("bitmaps"),
        "damage": specific.get("corrupt"),
        "a different format": info.get("format") != "qcow2",
    }
    if found := [what for what, there in strange.items() if there]:
        raise BundleError(
            f"the disk {path.name} has {', '.join(found)}", "The disks in a bundle must be self-contained."
        )
    size = int(info["virtual-size"])
    if size > largest:
        raise BundleError(
            f"the disk {path.name} is larger than its profile allows",
            f"{size / 2**30:.1f} GiB instead of at most {largest / 2**30:.1f} GiB",
        )
    return size


_COMPRESSED = ("-O", "qcow2", "-c", "-o", "compression_type=zstd")


def _check_header(path: Path) -> None:
    """Checks the header before QEMU's code reads it: nothing in it may refer to another file."""
    with path.open("rb") as file:
        block = file.read(HEADER.size)
    if len(block) < HEADER.size or not block.startswith(MAGIC):
        raise BundleError(f"the disk {path.name} is not a qcow2 image")
    _, version, backing, _, _, _, encryption, _, _, _, _, snapshots, _, features, *_ = HEADER.unpack(block)
    if version != 3 or backing or encryption or snapshots or features & ~ALLOWED_FEATURES:
        raise BundleError(
            f"the disk {path.name} is not one that 'labgen export' writes",
            f"version {version}, backing file at {backing}, encryption {encryption}, {snapshots} snapshots, "
            f"features {features:#x}",
        )


def _inspect(path: Path) -> Any:
    limits = ["prlimit", f"--as={INSPECT_MEMORY}", f"--cpu={INSPECT_LIMIT}", "--"]
    command = [*limits, "qemu-img", "info", "--output=json", "-f", "qcow2", str(path)]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=INSPECT_LIMIT,
            env=environment(),
            check=False,
        )
        if result.returncode:
            raise BundleError(f"the disk {path.name} cannot be read", result.stderr)
        return json.loads(result.stdout)
    except FileNotFoundError as error:
        raise _missing() from error
    except (ValueError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"the disk {path.name} cannot be read", str(error)) from error


def _convert(source: Path, target: Path, moved: Callable[[int], None], *options: str) -> None:
    size, told = source.stat().st_size, 0
    command = ["qemu-img", "convert", "-p", *options, str(source), str(target)]
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                env=environment(),
            )
        except FileNotFoundError as error:
            raise _missing() from error
        with process:
            try:
                for line in process.stdout or ():
                    if percent := PERCENT.search(line):
                        reached = int(size * float(percent[1]) / 100)
                        moved(reached - told)
                        told = reached
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            raise BundleError("qemu-img convert failed", errors.read().decode(errors="replace"))
    moved(size - told)


def _qemu_img(*arguments: str) -> None:
    try:
        result = subprocess.run(
            ["qemu-img", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise _missing() from error
    if result.returncode:
        raise BundleError(f"qemu-img {arguments[0]} failed", result.stderr)


def _missing() -> HostError:
    return HostError("qemu-img is missing", resolution="Run 'make install', or: sudo apt install qemu-utils")
