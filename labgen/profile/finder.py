"""The file that a profile's name or path refers to."""

from pathlib import Path

from labgen import paths
from labgen.errors import ProfileError
from labgen.profile.problems import clipped, shown
from labgen.suggestions import near

SUFFIXES = (".yaml", ".yml")


def shipped() -> dict[str, Path]:
    """The profiles that are shipped with labgen, by name."""
    return {file.stem: file for file in sorted(paths.shipped_profiles().glob("*.yaml"))}


def find(reference: str) -> Path:
    """The file of a profile.

    :param reference: a shipped profile's name, or a path: anything that contains a ``/``, ends in ``.yaml`` or
        ``.yml``, or is a file.
    :raises ProfileError: there is none; the error lists the available profiles.
    """
    if "\0" in reference:
        raise ProfileError(f"{shown(reference)} is not a path")
    known = shipped()
    if reference in known:
        return known[reference]
    path = Path(reference)
    if "/" in reference or reference.endswith(SUFFIXES):
        return path
    if len(reference) < 256 and path.is_file():  # 255 bytes is the longest file name
        return path
    raise ProfileError(
        f"there is no profile named {shown(reference)}",
        near(clipped(reference), known, "profiles"),
        "Run 'labgen profile list' to see all, or give the path of a file.",
    )
