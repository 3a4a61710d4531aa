"""Images in a file, as ``docker save`` and ``podman save`` write them.

The format: https://github.com/moby/docker-image-spec/blob/main/v1.2.md, "Combined Image JSON + Filesystem Changeset
Format". Only the list of images is read here; the engine checks the rest.
"""

import json
import lzma
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labgen.errors import ImageError
from labgen.images.names import familiar

MANIFEST = "manifest.json"
LARGEST = 2**20  # bytes of it; an image takes some hundred
# The image's configuration, whose sha256 is the image's id; newer engines write it below blobs/.
_CONFIG = re.compile(r"(?:blobs/sha256/)?(?P<digest>[0-9a-f]{64})(?:\.json)?")


@dataclass(frozen=True)
class Image:
    """:param id: as Docker shows it, ``sha256:...``. :param names: with tags, as Docker shows them."""

    id: str
    names: tuple[str, ...]


def read(file: Path) -> list[Image]:
    """The images in a file, which may be compressed.

    :raises ImageError: it is not such a file.
    """
    try:
        with tarfile.open(file) as tar:
            text = _manifest(tar)
        return [_image(each) for each in json.loads(text)]
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, LookupError, TypeError) as error:
        raise ImageError(
            f"{file} does not contain an image",
            str(error),
            "Write such a file with: docker save IMAGE -o FILE",
        ) from error


def _manifest(tar: tarfile.TarFile) -> bytes:
    for member in tar:
        if member.name.removeprefix("./") == MANIFEST and member.isreg() and member.size <= LARGEST:
            stream = tar.extractfile(member)
            assert stream  # noqa: S101 - it is a regular file
            return stream.read()
    raise LookupError(f"no {MANIFEST} in it")


def _image(entry: Any) -> Image:
    config = _CONFIG.fullmatch(entry["Config"])
    if not config:
        raise ValueError(f"{MANIFEST} gives no id of an image")
    return Image(f"sha256:{config['digest']}", tuple(familiar(str(name)) for name in entry["RepoTags"] or ()))
