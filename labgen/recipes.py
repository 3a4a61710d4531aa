"""The files that recipes of boxes and images consist of, which users write by hand."""

import io
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from labgen.errors import LabgenError

FILES = "files"  # the directory in a recipe whose contents are copied over the root


@dataclass(frozen=True)
class RecipeFile:
    """A recipe's TOML file.

    :param error: raised when a field is missing or wrong. :param docs: where recipes are described.
    """

    path: Path
    content: dict[str, Any]
    error: type[LabgenError]
    docs: str

    @classmethod
    def read(cls, path: Path, error: type[LabgenError], docs: str) -> Self:
        try:
            return cls(path, tomllib.loads(path.read_text()), error, docs)
        except (FileNotFoundError, ValueError) as cause:
            raise error(f"the recipe {path} cannot be read", str(cause), f"See {docs}") from cause

    def word(self, field: str, *, optional: bool = False) -> str:
        if isinstance(found := self.content.get(field, "" if optional else None), str):
            return found
        raise self.wrong(f"'{field}' must be a quoted string")

    def words(self, field: str, *, optional: bool = False) -> tuple[str, ...]:
        found = self.content.get(field, [] if optional else None)
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return tuple(found)
        raise self.wrong(f"'{field}' must be a list of quoted strings")

    def numbers(self, field: str) -> tuple[int, ...]:
        found = self.content.get(field)
        if isinstance(found, list) and all(type(each) is int for each in found):
            return tuple(found)
        raise self.wrong(f"'{field}' must be a list of numbers")

    def table(self, field: str) -> dict[str, str]:
        found = self.content.get(field, {})
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            return found
        raise self.wrong(f"'{field}' must be a table of quoted strings")

    def wrong(self, why: str) -> LabgenError:
        return self.error(f"the recipe {self.path} is not valid", why, f"See {self.docs}")


def files(directory: Path) -> dict[str, bytes]:
    """The files that a recipe adds: path below the root -> content."""
    top = directory / FILES
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def pack(tar: tarfile.TarFile, added: dict[str, bytes]) -> None:
    """Packs a recipe's files. Modes are derived from the content because a wheel does not keep them."""
    for path, data in added.items():
        member = tarfile.TarInfo(path)
        member.size = len(data)
        member.mode = 0o755 if data.startswith(b"#!") else 0o644
        tar.addfile(member, io.BytesIO(data))
