"""Writing a bundle: the file is complete, or does not exist."""

import contextlib
import hashlib
import io
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from labgen.bundle import archive, signature
from labgen.bundle.manifest import PART, Manifest, Part
from labgen.errors import BundleError
from labgen.progress import Amount, Progress

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"


def write(
    file: Path,
    manifest: Manifest,
    sources: Mapping[str, Path | bytes],
    progress: Progress,
    *,
    executable: Collection[str] = (),
    sign: Path | None = None,
) -> None:
    """Writes a bundle of parts. Source files are removed one by one as they are written, to save space.

    :param manifest: without parts. :param sources: by name, in the order in which they are written.
    :param executable: names of the executable parts. :param sign: an OpenSSH private key.
    :raises BundleError: it cannot be written or signed; nothing is left then.
    """
    size = sum(_size(source) for source in sources.values())
    hashed = Amount("computing the checksums", size, progress, stage="hash-parts")
    parts = tuple(_part(name, source, name in executable, hashed) for name, source in sources.items())
    full = manifest.model_copy(update={"parts": parts})
    full = Manifest.model_validate(full.model_dump())
    text = full.to_bytes()
    heads = {MANIFEST: text} | ({SIGNATURE: signature.sign(text, sign)} if sign else {})
    amount = Amount("writing the bundle", sum(part.size for part in parts), progress, stage="write-bundle")
    try:
        with _complete_or_absent(file) as out:
            modified = int(datetime.fromisoformat(manifest.created).timestamp())
            for name, data in heads.items():
                _add(out, archive.header(f"{manifest.lab}/{name}", len(data), modified, False), data, amount)
            for part in parts:
                name, source = f"{manifest.lab}/{part.name}", sources[part.name]
                _add(out, archive.header(name, part.size, modified, part.executable), source, amount)
                if isinstance(source, Path):
                    source.unlink()
            out.write(archive.END * 2)
    except OSError as error:
        raise BundleError(
            f"{file} cannot be written", str(error), f"Check the free space: df -h {file.parent}"
        ) from error


def unfit_names(lab: str, names: Collection[str]) -> list[str]:
    """The names that cannot be names of parts in a bundle of that lab."""
    folded = [name.casefold() for name in names]
    return [
        name
        for name in names
        if not PART.fullmatch(name) or not archive.can_hold(f"{lab}/{name}") or folded.count(name.casefold()) > 1
    ]


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _part(name: str, source: Path | bytes, executable: bool, amount: Amount) -> Part:
    digest = hashlib.sha256()
    for piece in _pieces(source, amount):
        digest.update(piece)
    return Part(name=name, size=_size(source), sha256=digest.hexdigest(), executable=executable)


def _add(out: BinaryIO, header: bytes, source: Path | bytes, amount: Amount) -> None:
    out.write(header)
    for piece in _pieces(source, amount):
        out.write(piece)
    out.write(archive.padding(_size(source)))


def _pieces(source: Path | bytes, amount: Amount) -> Iterator[bytes]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while piece := file.read(archive.PIECE):
            yield piece
            amount.more(len(piece))


@contextlib.contextmanager
def _complete_or_absent(file: Path) -> Iterator[BinaryIO]:
    """An unnamed file that gets its name at the end; on file systems without such files, a ``.partial`` file."""
    directory = os.open(file.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    partial = None
    try:
        try:
            handle = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o600, dir_fd=directory)
        except OSError:
            partial = file.with_name(f"{file.name}.partial")
            handle = os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(handle)
            if partial is None:
                os.link(f"/proc/self/fd/{handle}", file.name, dst_dir_fd=directory, follow_symlinks=True)
        if partial:
            partial.rename(file)
    finally:
        os.close(directory)
        if partial:
            partial.unlink(missing_ok=True)
