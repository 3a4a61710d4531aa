"""The guest scripts that a profile adds."""

from collections.abc import Iterator
from pathlib import Path

from labgen.errors import ProfileError
from labgen.profile.files import read_text
from labgen.profile.problems import Finding, Location, shown
from labgen.profile.schema import Profile

LARGEST = 256 * 1024  # bytes


def listed(profile: Profile) -> Iterator[tuple[Location, str]]:
    """Every script as written, with its location in the profile."""
    for index, script in enumerate(profile.provision):
        yield ("provision", index), script
    for name, group in profile.nodes.items():
        for index, script in enumerate(group.provision):
            yield ("nodes", name, "provision", index), script


def resolve(profile: Profile, directory: Path) -> tuple[dict[str, Path], list[Finding]]:
    """The scripts' files by their names in the profile, and the problems with them.

    :param directory: the profile's; no script may be outside of it, not even through a symbolic link.
    """
    files: dict[str, Path] = {}
    wrong: list[Finding] = []
    root = directory.resolve()
    for location, script in listed(profile):
        try:
            files[script] = _file(root, script)
        except ValueError as error:
            wrong.append(Finding(location, f"{shown(script)} {error}", (location,)))
    return files, wrong


def read_script(path: Path) -> str:
    """A script's text, read when it is rendered.

    :param path: from :attr:`labgen.profile.loader.Loaded.scripts`.
    :raises ProfileError: it can no longer be read.
    """
    try:
        return _text(path)
    except ValueError as error:
        raise ProfileError(f"the script {shown(str(path))} {error}") from error


def _file(root: Path, script: str) -> Path:
    try:
        path = (root / script).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = error.strerror if isinstance(error, OSError) else "a loop of symbolic links"
        raise ValueError(f"cannot be read: {reason}") from error
    if not path.is_relative_to(root):
        raise ValueError("leads out of the profile's directory")
    _text(path)
    return path


def _text(path: Path) -> str:
    text = read_text(path, LARGEST)
    if not text.strip():
        raise ValueError("is empty")
    if "\0" in text:
        raise ValueError("is not text")
    if "\r\n" in text:
        raise ValueError("has Windows line endings, which shells do not accept; convert it with dos2unix")
    return text
