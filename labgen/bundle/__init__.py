"""Bundles: a lab as one file. Its form, what is refused, and who vouches for it.

manifest.py   what a bundle says of itself
archive.py    the tar
writer.py     complete or absent
reader.py     checked whole, or refused
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
    """What a bundle of ours names as its maker."""
    return importlib.metadata.version("labgen")
