"""Recipes of images: ``images/NAME/image.toml``, and the files that are copied over Debian's.

The image is made of the contents of Debian's packages; the packages' own installation scripts are not run.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labgen import paths, recipes
from labgen.errors import ImageError
from labgen.recipes import RecipeFile
from labgen.suggestions import near

DOCS = "docs/images.md, Recipes"
# No engine may look for such a name on the internet, where anyone could offer it: podman's name for local images.
HERE = "localhost"
_IDS = re.compile(r"[0-9]+:[0-9]+")
BUILDER = 2  # counts the changes of the builder that make images built before outdated


@dataclass(frozen=True)
class Recipe:
    """How to build one image.

    :param stop_signal: ends the container; empty: SIGTERM. :param links: symbolic links to add: path -> target.
    :param writable: directories that belong to the user. :param leave_out: patterns of paths that are not needed.
    """

    name: str
    directory: Path
    version: str
    suite: str
    packages: tuple[str, ...]
    entrypoint: tuple[str, ...]
    user: str
    ports: tuple[int, ...]
    stop_signal: str
    writable: tuple[str, ...]
    links: dict[str, str]
    leave_out: tuple[str, ...]

    @property
    def owner(self) -> tuple[int, int]:
        """The ids of the user and the group."""
        user, _, group = self.user.partition(":")
        return int(user), int(group)

    @property
    def reference(self) -> str:
        """The image's name in a compose file."""
        return f"{HERE}/{self.name}:{self.version}"

    def files(self) -> dict[str, bytes]:
        return recipes.files(self.directory)

    @property
    def digest(self) -> str:
        """sha256 over everything that determines the build, except the versions of Debian's packages."""
        parts: dict[str, Any] = {
            "builder": BUILDER,
            "recipe": (self.directory / "image.toml").read_text(),
            "files": {path: hashlib.sha256(data).hexdigest() for path, data in self.files().items()},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def known() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(p.parent.name for p in paths.image_recipes().glob("*/image.toml"))


def load(name: str) -> Recipe:
    """:raises ImageError: no recipe has that name, or it cannot be read."""
    if name not in known():
        raise ImageError(
            f"There is no recipe for an image '{name}'", near(name, known(), "images"), "labgen image list"
        )
    directory = paths.image_recipes() / name
    file = RecipeFile.read(directory / "image.toml", ImageError, DOCS)
    if file.words("writable", optional=True) and not _IDS.fullmatch(file.word("user")):
        raise file.wrong("'user' must be UID:GID if there are 'writable' directories")
    return Recipe(
        name=name,
        directory=directory,
        version=file.word("version"),
        suite=file.word("suite"),
        packages=file.words("packages"),
        entrypoint=file.words("entrypoint"),
        user=file.word("user"),
        ports=file.numbers("ports"),
        stop_signal=file.word("stop_signal", optional=True),
        writable=file.words("writable", optional=True),
        links=file.table("links"),
        leave_out=file.words("leave_out", optional=True),
    )
