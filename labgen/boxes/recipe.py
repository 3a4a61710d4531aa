"""Recipes: a Debian suite, packages, and layers of files to add and hooks to run.

``boxes/NAME.toml`` is a recipe; a directory next to it with a ``layer.toml`` is a layer that recipes share.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labgen import paths
from labgen.errors import BoxError
from labgen.recipes import RecipeFile, files
from labgen.suggestions import near

MAIN = "main"  # the component of Debian's archive that every box is built from
TRIM, STOCK = "trim", "stock"  # the layer that shortens the boot, and the one with Debian's defaults instead


@dataclass(frozen=True)
class Layer:
    """A directory in ``boxes/``: ``layer.toml``, optionally ``files/`` (copied over the root) and ``hook.sh``."""

    directory: Path
    packages: tuple[str, ...]
    components: tuple[str, ...]

    @property
    def hook(self) -> str | None:
        """The text of the script that mmdebstrap runs with the new root as its argument."""
        script = self.directory / "hook.sh"
        return script.read_text() if script.is_file() else None

    def files(self) -> dict[str, bytes]:
        """The files to add: path below the root -> content."""
        return files(self.directory)


@dataclass(frozen=True)
class Recipe:
    """How to build one box.

    :param components: the components of Debian's archive that the packages come from.
    """

    name: str
    suite: str
    components: tuple[str, ...]
    packages: tuple[str, ...]
    layers: tuple[Layer, ...]
    image_hook: str

    @property
    def provides(self) -> frozenset[str]:
        """The packages that a profile can rely on in the box: those listed by the recipe and its layers."""
        return frozenset(self.packages)

    @property
    def digest(self) -> str:
        """sha256 over everything that determines the build, except the versions of Debian's packages."""
        parts: dict[str, Any] = {
            "suite": self.suite,
            "packages": self.packages,
            "hooks": [*(layer.hook for layer in self.layers), self.image_hook],
            "files": [
                {path: hashlib.sha256(data).hexdigest() for path, data in layer.files().items()}
                for layer in self.layers
            ],
        }
        if self.components != (MAIN,):  # 0.1.0 had no others: boxes that need none keep their digest
            parts["components"] = self.components
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def known() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(p.stem for p in paths.box_recipes().glob("*.toml"))


def load(name: str, trimmed: bool = True) -> Recipe:
    """Read a recipe.

    :param trimmed: False uses Debian's defaults instead of the "trim" layer, for the benchmark; such a box has a
        separate name, ``NAME-stock``.
    :raises BoxError: no recipe has that name, or it cannot be read.
    """
    path = paths.box_recipes() / f"{name}.toml"
    if name not in known():
        raise BoxError(f"There is no box '{name}'", near(name, known(), "boxes"), "labgen box list")
    file = _read(path)
    names = [layer if trimmed or layer != TRIM else STOCK for layer in file.words("layers")]
    layers = tuple(_layer(layer) for layer in names)
    packages = {*file.words("packages"), *(package for layer in layers for package in layer.packages)}
    components = {
        *file.words("components", optional=True),
        *(component for layer in layers for component in layer.components),
    } - {MAIN}
    return Recipe(
        name=name if trimmed else f"{name}-{STOCK}",
        suite=file.word("suite"),
        components=(MAIN, *sorted(components)),
        packages=tuple(sorted(packages)),
        layers=layers,
        image_hook=(paths.box_recipes() / "image.sh").read_text(),
    )


def serving(needs: Collection[str]) -> list[str]:
    """The sorted names of the boxes that provide all needs. Recipes that cannot be read are skipped."""
    found = []
    for name in known():
        with contextlib.suppress(BoxError):
            if load(name).provides.issuperset(needs):
                found.append(name)
    return found


def _layer(name: str) -> Layer:
    directory = paths.box_recipes() / name
    file = _read(directory / "layer.toml")
    return Layer(directory, file.words("packages"), file.words("components", optional=True))


def _read(path: Path) -> RecipeFile:
    return RecipeFile.read(path, BoxError, "docs/boxes.md, Recipes")
