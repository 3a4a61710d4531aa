"""What reports need of labs that were destroyed: the records of what was tried in them, and a copy of the journal."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labgen import paths
from labgen.errors import LabgenError
from labgen.records import journals, results
from labgen.records.journals import Journal
from labgen.records.record import Damaged
from labgen.records.results import Result

MOMENT = "%Y%m%d-%H%M%S"
DIRECTORY_MODE = 0o700


@dataclass(frozen=True)
class Archived:
    """:param moment: when the lab was destroyed, local time, as ``20261127-201933``."""

    lab: str
    moment: str

    @property
    def directory(self) -> Path:
        return paths.archived(self.lab, self.moment)

    def results(self) -> list[Result]:
        return results.within(self.directory / paths.RESULTS)

    def journal(self) -> Journal | None:
        """None: it was lost before the lab was destroyed, or cannot be read."""
        with contextlib.suppress(Damaged, FileNotFoundError, LabgenError):
            return journals.kept(self.directory / paths.STATE)
        return None


def keep(lab: str) -> int:
    """Moves a lab's results to the archive, with a copy of its journal. A lab without results leaves nothing there.

    :return: how many records are kept. :raises OSError: from the file system; the results are then unchanged.
    """
    found = paths.results(lab)
    count = len(list(found.glob("*.json"))) if found.is_dir() and not found.is_symlink() else 0
    if not count:
        return 0
    directory = _new_directory(lab)
    with contextlib.suppress(LabgenError):  # it is lost, and the results speak for themselves
        journals.keep(journals.load(lab), directory / paths.STATE)
    # Last, and in one step: a directory without results is none of the archive's; see every().
    moved = directory / paths.RESULTS
    shutil.move(found, moved)  # the lab's directory may be a link to another file system
    moved.chmod(DIRECTORY_MODE)
    return count


def every() -> list[Archived]:
    """By name, the newest of each first."""
    return [each for name in names() for each in of(name)]


def names() -> list[str]:
    return sorted({path.parent.parent.name for path in paths.archive().glob(f"*/*/{paths.RESULTS}")})


def of(lab: str) -> list[Archived]:
    """Those of labs of one name, the newest first."""
    if lab not in names():  # also refuses anything that would lead out of the archive
        return []
    return [Archived(lab, path.parent.name) for path in sorted(_places(lab), reverse=True)]


def remove(chosen: Iterable[Archived]) -> None:
    """:raises OSError: from the file system."""
    for each in chosen:
        shutil.rmtree(each.directory)
        for directory in (each.directory.parent, paths.archive()):
            with contextlib.suppress(OSError):  # it has others
                directory.rmdir()


def _places(lab: str) -> Iterator[Path]:
    return (paths.archive() / lab).glob(f"*/{paths.RESULTS}")


def _new_directory(lab: str) -> Path:
    """:raises OSError: from the file system."""
    moment = datetime.now().astimezone().strftime(MOMENT)
    paths.archive().mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    (paths.archive() / lab).mkdir(exist_ok=True, mode=DIRECTORY_MODE)
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):  # two within a second
        directory = paths.archived(lab, moment + suffix)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=DIRECTORY_MODE)
            return directory
    raise FileExistsError(f"{paths.archived(lab, moment)}")
