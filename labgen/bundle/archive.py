"""The file itself: a plain tar with one top directory, the manifest in front.

It is written and read header by header, as ustar without extensions, so that nothing in an untrusted file can make a
name longer, a file sparse, or a header large.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from labgen.errors import BundleError

BLOCK = tarfile.BLOCKSIZE
PIECE = 2**20  # bytes in memory at once
END = b"\0" * BLOCK


def header(name: str, size: int, modified: int, executable: bool) -> bytes:
    """A member's header. Its mode makes files unpacked by hand private: disks contain the cluster's secrets.

    :param modified: seconds since 1970.
    """
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, modified, 0o700 if executable else 0o600
    return member.tobuf(tarfile.USTAR_FORMAT if size < 8 * 2**30 else tarfile.GNU_FORMAT, "ascii", "strict")


def can_hold(name: str) -> bool:
    """Whether a name fits into a header."""
    try:
        header(name, 0, 0, False)
    except ValueError:
        return False
    return True


def padding(size: int) -> bytes:
    return b"\0" * (-size % BLOCK)


class Reader:
    """Reads members one after the other, regular files only."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = os.fstat(file.fileno()).st_size

    def next(self) -> tarfile.TarInfo | None:
        """The next member's header; None at the end. The member's content has to be read before the next call.

        :raises BundleError: this is not a bundle, or it is truncated.
        """
        block = self._file.read(BLOCK)
        if block == END:
            self._require_end()
            return None
        if len(block) < BLOCK:
            raise BundleError("the bundle is truncated", f"it has {self._length} bytes and no end-of-archive marker")
        try:
            member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.TarError, ValueError, OverflowError, IndexError) as error:
            raise BundleError("not a bundle: it is not a tar file", str(error)[:200]) from error
        if block[156:157] != tarfile.REGTYPE or member.linkname:
            raise BundleError(f"the bundle contains something that is not a regular file: {_shown(member.name)}")
        if member.size < 0 or member.size > self._length - self._file.tell():
            raise BundleError(
                f"the bundle is truncated, or gives a wrong size: {_shown(member.name)}",
                f"{member.size} bytes according to its header, {self._length - self._file.tell()} are left",
            )
        return member

    def copy(self, size: int, take: Callable[[bytes], None]) -> str:
        """Passes a member's content to ``take``, piece by piece. :return: its sha256."""
        digest = hashlib.sha256()
        left = size
        while left:
            piece = self._file.read(min(PIECE, left))
            if not piece:
                raise BundleError("the bundle is truncated")
            left -= len(piece)
            digest.update(piece)
            take(piece)
        if self._file.read(-size % BLOCK) != padding(size):
            raise BundleError("the bundle contains extra data between its parts")
        return digest.hexdigest()

    def bytes(self, what: str, size: int, largest: int) -> bytes:
        """A small member's content.

        :raises BundleError: it is larger than ``largest``.
        """
        if size > largest:
            raise BundleError(f"the bundle's {what} is too large: {size} bytes")
        buffer = io.BytesIO()
        self.copy(size, lambda piece: void(buffer.write(piece)))
        return buffer.getvalue()

    def _require_end(self) -> None:
        while piece := self._file.read(PIECE):
            if piece.strip(b"\0"):
                raise BundleError("the bundle contains extra data after its end")


def void(_: object) -> None:
    """Discards a callback's result."""


def _shown(name: str) -> str:
    return ascii(name)[:120]
