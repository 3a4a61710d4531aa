"""Container images in files. What is done with them in machines is in :mod:`labgen.machines.images`."""

from labgen.images.archive import Image, read
from labgen.images.names import familiar, reference

__all__ = ["Image", "familiar", "read", "reference"]
