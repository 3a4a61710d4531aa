"""The boxes: how they are built from the recipes in ``boxes/``, where they are kept, and how Vagrant gets them.

box = boxes.ensure("debian13", progress)     # builds it if this host has none of the current recipe
box.catalog                                  # for "vagrant box add"
"""

from labgen.boxes.builder import SCRATCH_GIB, build, ensure, missing_packages
from labgen.boxes.recipe import known
from labgen.boxes.store import Box, built, choose, find, listing, remove

__all__ = [
    "SCRATCH_GIB",
    "Box",
    "build",
    "built",
    "choose",
    "ensure",
    "find",
    "known",
    "listing",
    "missing_packages",
    "remove",
]
