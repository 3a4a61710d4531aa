"""Recipes: a Debian suite, packages, and layers of files to lay in and hooks to run.

``boxes/NAME.toml`` is a recipe; a directory beside it with a ``layer.toml`` is a layer that recipes share.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from labgen import paths
from labgen.errors import BoxError
from labgen.suggestions import near

TRIM, STOCK = "trim", "stock"  # the layer that makes a boot short, and Debian's defaults in its place


@dataclass(frozen=True)
class Layer:
    """A directory of ``boxes/``: ``layer.toml``, perhaps ``files/`` (laid over the root) and ``hook.sh``."""

    directory: Path
    packages: tuple[str, ...]

    @property
    def hook(self) -> str | None:
        """The text of the script that mmdebstrap runs with the new root as its argument."""
        script = self.directory / "hook.sh"
        return script.read_text() if script.is_file() else None

    def files(self) -> dict[str, bytes]:
        """What to lay in: path below the root -> content."""
        top = self.directory / "files"
        return {p.relative_to(top).as_posix(): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


@dataclass(frozen=True)
class Recipe:
    """How to make one box."""

    name: str
    suite: str
    packages: tuple[str, ...]
    layers: tuple[Layer, ...]
    image_hook: str

    @property
    def digest(self) -> str:
        """sha256 over everything that decides what is built, except the versions of Debian's packages."""
        parts = {
            "suite": self.suite,
            "packages": self.packages,
            "hooks": [*(layer.hook for layer in self.layers), self.image_hook],
            "files": [
                {path: hashlib.sha256(data).hexdigest() for path, data in layer.files().items()}
                for layer in self.layers
            ],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def known() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(p.stem for p in paths.box_recipes().glob("*.toml"))


def load(name: str, trimmed: bool = True) -> Recipe:
    """Read a recipe.

    :param trimmed: False gives Debian's defaults in place of the "trim" layer, for the benchmark; such a box
        has a name of its own, ``NAME-stock``.
    :raises BoxError: no recipe has that name.
    """
    path = paths.box_recipes() / f"{name}.toml"
    if name not in known():
        raise BoxError(f"There is no box '{name}'", near(name, known(), "boxes"), "labgen box list")
    data = tomllib.loads(path.read_text())
    names = [layer if trimmed or layer != TRIM else STOCK for layer in data["layers"]]
    layers = tuple(_layer(layer) for layer in names)
    packages = {*data["packages"], *(package for layer in layers for package in layer.packages)}
    return Recipe(
        name=name if trimmed else f"{name}-{STOCK}",
        suite=data["suite"],
        packages=tuple(sorted(packages)),
        layers=layers,
        image_hook=(paths.box_recipes() / "image.sh").read_text(),
    )


def _layer(name: str) -> Layer:
    directory = paths.box_recipes() / name
    data = tomllib.loads((directory / "layer.toml").read_text())
    return Layer(directory, tuple(data["packages"]))
