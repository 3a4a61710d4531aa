"""Container images: in files, and built here. What is done with them in machines: :mod:`labgen.machines.images`."""

from labgen.images.archive import Image, read
from labgen.images.builder import build, ensure
from labgen.images.names import familiar, in_registry, reference
from labgen.images.recipe import known, load
from labgen.images.store import BuiltImage, built, listing

__all__ = [
    "BuiltImage",
    "Image",
    "build",
    "built",
    "ensure",
    "familiar",
    "in_registry",
    "known",
    "listing",
    "load",
    "read",
    "reference",
]
