"""Bundles: a lab as one file. Their format, checks and signatures.

manifest.py   a bundle's description of itself
archive.py    the tar
writer.py     writes a complete bundle or none
reader.py     checks a bundle completely, or refuses it
signature.py  ssh-keygen's signatures over the manifest
"""

import importlib.metadata

from labgen.bundle.manifest import BoxFacts, Depth, Machine, Manifest, Part
from labgen.bundle.reader import Received, peek, read
from labgen.bundle.writer import unfit_names, write

__all__ = [
    "BoxFacts",
    "Depth",
    "Machine",
    "Manifest",
    "Part",
    "Received",
    "labgen_version",
    "peek",
    "read",
    "unfit_names",
    "write",
]


def labgen_version() -> str:
    """The labgen version that a bundle records as its creator."""
    return importlib.metadata.version("labgen")
