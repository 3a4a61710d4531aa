"""The built images on this host: ``images/NAME/ID/`` in the cache, each directory complete or absent.

image.tar   the image, as ``docker save`` writes it
lock.json   the recipe's digest, the image's id and its name
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labgen import paths
from labgen.files import read_json
from labgen.images import recipe

LOCK, ARCHIVE = "lock.json", "image.tar"
FIELDS = ("built", "recipe", "id", "reference")  # of lock.json


@dataclass(frozen=True)
class BuiltImage:
    """:param reference: its name, with the version. :param built: when, ISO 8601."""

    name: str
    directory: Path
    id: str
    reference: str
    recipe: str
    built: str

    @property
    def archive(self) -> Path:
        return self.directory / ARCHIVE

    @property
    def size(self) -> int:
        """Bytes."""
        return self.archive.stat().st_size


def built(name: str) -> list[BuiltImage]:
    """All images that were built from a recipe, newest first, whether or not the recipe has changed since."""
    found = [image for path in (paths.images() / name).glob("*/" + LOCK) if (image := _read(name, path))]
    return sorted(found, key=lambda image: image.built, reverse=True)


def _read(name: str, lock: Path) -> BuiltImage | None:
    try:
        content = read_json(lock)
        fields = {field: content[field] for field in FIELDS}
    except PermissionError:
        raise  # it is built, but belongs to another user
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(each, str) for each in fields.values()) or not (lock.parent / ARCHIVE).is_file():
        return None
    return BuiltImage(name, lock.parent, **fields)


def find(name: str) -> BuiltImage | None:
    """The newest image built from the current recipe, or None.

    :raises ImageError: no recipe has that name.
    """
    digest = recipe.load(name).digest
    return next((image for image in built(name) if image.recipe == digest), None)


def listing() -> list[dict[str, Any]]:
    """One row for every built image, and one for every recipe without any."""
    rows: list[dict[str, Any]] = []
    for name in recipe.known():
        wanted = recipe.load(name)
        images = built(name)
        rows += [_row(image, "ready" if image.recipe == wanted.digest else "outdated") for image in images]
        if not images:
            rows.append({"name": name, "image": wanted.reference, "state": "not built"})
    return rows


def _row(image: BuiltImage, state: str) -> dict[str, Any]:
    return {
        "name": image.name,
        "image": image.reference,
        "state": state,
        "size": image.size,
        "id": image.id,
        "built": image.built,
        "file": str(image.archive),
    }
