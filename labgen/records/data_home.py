"""The identity of this data home on its host: the id that distinguishes its labs from those of others.

It is chosen at random and kept in the data home. So the labs are the same ones, whatever path the home is reached by,
and two homes with the same path (in two containers with one libvirt) do not conflict.
"""

import contextlib
import hashlib
import re
import secrets
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from labgen import paths
from labgen.errors import HostError
from labgen.files import read_json
from labgen.records.record import Kind

OWNER = r"labgen-[0-9a-f]{6}"  # a regular expression


@dataclass(frozen=True)
class _Record:
    """:param owner: the id. :param home: the data home's path when it was last used, which exposes a copy."""

    owner: str
    home: str


_KIND = Kind(_Record)


def owner() -> str:
    """The prefix of all names that this data home's labs have in libvirt, e.g. ``labgen-3fa2b1``.

    For callers that change something: if there is no id yet, one is chosen and written down.

    :raises HostError: the record is damaged, or the data home is a copy of another one.
    """
    here = str(paths.data_home())
    while (record := _read(paths.identity())) is None:
        chosen = _inherited() or f"labgen-{secrets.token_hex(3)}"
        with contextlib.suppress(FileExistsError):  # another labgen process was quicker
            _KIND.create(paths.identity(), _Record(chosen, here))
    if record.home != here:
        _refuse_copy(record)
        _KIND.save(paths.identity(), replace(record, home=here))
    return record.owner


def known_owner() -> str | None:
    """The same for callers that only read: nothing is written. None: nothing was created from this data home yet.

    :raises HostError: as :func:`owner`.
    """
    record = _read(paths.identity())
    if record is None:
        return _inherited()
    if record.home != str(paths.data_home()):
        _refuse_copy(record)
    return record.owner


def owner_of_path() -> str:
    """The id that labgen 0.1.0 used, and that a preview shows if there is no id yet."""
    return f"labgen-{hashlib.sha256(str(paths.data_home()).encode()).hexdigest()[:6]}"


def _read(file: Path) -> _Record | None:
    try:
        record = _KIND.load(file)
        if not re.fullmatch(OWNER, record.owner) or not Path(record.home).is_absolute():
            raise ValueError("it contains no id")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise HostError(
            "the id of this data home is damaged",
            f"{file}: {error}",
            "Restore it from a backup, or remove it: the next command takes the id from the labs' journals.",
        ) from error
    return record


def _inherited() -> str | None:
    """The id under which a labgen version that kept no id has created the existing labs.

    :raises HostError: the data home is a copy.

    Not looked up in libvirt: objects under the path's id may belong to another host's home, or another container's.
    """
    if found := (Counter(_in_journals()) or Counter(_in_templates())).most_common(1):
        _refuse_copy_of_0_1_0()
        return found[0][0]
    left = [each for each in (paths.labs(), paths.templates()) if each.is_dir() and any(each.iterdir())]
    return owner_of_path() if left else None


def _in_journals() -> Iterator[str]:
    for journal in sorted(paths.labs().glob(f"*/{paths.STATE}")):
        with contextlib.suppress(FileNotFoundError, ValueError, LookupError, TypeError):
            if match := re.match(f"({OWNER})_", read_json(journal)["lab"]["prefix"]):
                yield match[1]


def _in_templates() -> Iterator[str]:
    for record in sorted(paths.templates().glob(f"*/{paths.template_record('').name}")):
        with contextlib.suppress(FileNotFoundError, ValueError, LookupError, TypeError):
            if match := re.fullmatch(OWNER, read_json(record)["owner"]):
                yield match[0]


def _refuse_copy(record: _Record) -> None:
    """Refuses a copy, if the home has another path than before. It may also have been moved, or be on a mount.

    With two homes of the same id, each would take the other's newer labs for leftovers.

    :raises HostError: the data home with this id is still where it was, or this cannot be determined.
    """
    original = Path(record.home) / paths.identity().name
    try:
        if original.samefile(paths.identity()):
            return
        other = _read(original)
        if other is None or other.owner != record.owner:
            return
        why = f"{record.home} still exists and has the same id, {record.owner}"
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        why = f"{record.home} had the id {record.owner}, and cannot be read: {error.strerror}"
    raise _copy(Path(record.home), why)


def _refuse_copy_of_0_1_0() -> None:
    """The same for a home with labs of 0.1.0 and no record: Vagrant's records of the labs have the former path.

    :raises HostError: the labs still exist there as well.
    """
    for record in paths.labs().glob("*/.vagrant/machines/*/libvirt/vagrant_cwd"):
        with contextlib.suppress(OSError, ValueError):
            lab, original = record.parents[4], Path(record.read_text().strip())
            if (original / paths.STATE).is_file() and not original.samefile(lab):
                raise _copy(original.parents[1], f"{original} still exists, and is the same lab")


def _copy(original: Path, why: str) -> HostError:
    """Both fixes leave the labs in only one of the two homes."""
    here, labs = paths.data_home(), (paths.labs().name, paths.registry().name, paths.identity().name)

    def removal(home: Path) -> str:
        return "rm -rf " + " ".join(shlex.quote(str(home / name)) for name in labs)

    return HostError(
        f"the data home {here} is a copy, or has been moved",
        f"{why}\nTwo data homes cannot manage the same machines.",
        f"To manage the labs from {here} from now on: {removal(original)}\n"
        f"To start {here} without labs: {removal(here)}",
    )
