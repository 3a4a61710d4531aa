"""Reading a bundle: it is checked completely and unpacked into a new directory, or refused with nothing left."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labgen.bundle import archive, manifest, signature
from labgen.bundle.manifest import Manifest, Part
from labgen.bundle.writer import MANIFEST, SIGNATURE
from labgen.errors import BundleError
from labgen.progress import Amount, Progress

RESERVE = 64 * 2**20  # bytes that are kept free


@dataclass(frozen=True)
class Received:
    """:param parts: the files, by their names in the manifest.

    :param signed_by: the signer, as text for users; None if it is not signed.
    """

    manifest: Manifest
    parts: Mapping[str, Path]
    signed_by: str | None


def peek(file: Path) -> Manifest:
    """A bundle's manifest; its parts are not checked.

    :raises BundleError: it is not a bundle.
    """
    with _opened(file) as stream:
        return _head(archive.Reader(stream))[0]


def read(file: Path, staging: Path, progress: Progress, allowed: Path | None = None) -> Received:
    """Unpacks and checks a bundle.

    :param staging: a directory to create for it. :param allowed: an OpenSSH allowed-signers file.
    :raises BundleError: the file does not match its manifest exactly, or none of the allowed signers signed it; the
        directory is then removed.
    """
    staging.mkdir(mode=0o700, parents=True)
    try:
        with _opened(file) as stream:
            return _read(archive.Reader(stream), staging, progress, allowed)
    except OSError as error:
        shutil.rmtree(staging)
        raise BundleError(f"{file} cannot be unpacked", str(error)) from error
    except BaseException:
        shutil.rmtree(staging)
        raise


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise BundleError(f"{file} cannot be read", str(error)) from error


def _head(reader: archive.Reader) -> tuple[Manifest, bytes]:
    member = reader.next()
    if member is None or not member.name.endswith(f"/{MANIFEST}"):
        raise BundleError("not a bundle: it does not begin with a manifest")
    text = reader.bytes("manifest", member.size, manifest.LARGEST)
    found = manifest.parse(text)
    if member.name != f"{found.lab}/{MANIFEST}":
        raise BundleError("the bundle's directory is not named after its lab")
    return found, text


def _read(reader: archive.Reader, staging: Path, progress: Progress, allowed: Path | None) -> Received:
    found, text = _head(reader)
    expected = {f"{found.lab}/{part.name}": part for part in found.parts}
    member = reader.next()
    signed = None
    if member and member.name == f"{found.lab}/{SIGNATURE}":
        signed = reader.bytes("signature", member.size, signature.LARGEST)
        member = reader.next()
    signed_by = signature.verify(text, signed, allowed)
    total = sum(part.size for part in found.parts)
    if shutil.disk_usage(staging).free < total + RESERVE:
        raise BundleError("not enough disk space for the bundle", f"it needs {total / 2**30:.1f} GiB")
    amount = Amount("unpacking and checking the bundle", total, progress, stage="unpack-bundle")
    parts: dict[str, Path] = {}
    while member:
        part = expected.pop(member.name, None)
        if part is None:
            again = (
                "twice"
                if any(member.name == f"{found.lab}/{name}" for name in parts)
                else "that its manifest does not list"
            )
            raise BundleError(f"the bundle contains a part {again}: {ascii(member.name)[:120]}")
        parts[part.name] = _unpack(reader, member.size, part, staging, amount)
        member = reader.next()
    if expected:
        raise BundleError("the bundle is missing parts", ", ".join(sorted(expected))[:300])
    return Received(found, parts, signed_by)


def _unpack(reader: archive.Reader, size: int, part: Part, staging: Path, amount: Amount) -> Path:
    if size != part.size:
        raise BundleError(f"the bundle's part {part.name} differs in size from its entry in the manifest")
    target = staging / part.name
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as out:

        def take(piece: bytes) -> None:
            out.write(piece)
            amount.more(len(piece))

        digest = reader.copy(size, take)
    if digest != part.sha256:
        raise BundleError(f"the bundle's part {part.name} is damaged or was changed: its sha256 does not match")
    return target
