"""Problems in a profile: what is wrong, where, and what would be valid."""

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labgen.errors import ProfileError

Location = tuple[str | int, ...]

MOST_SHOWN = 50  # lines of errors; nobody reads more, and a hostile file could cause thousands
ANY = "*"
BEYOND_LINES = 1_000_000_000  # the order of values that come from no line of a file
_LONGEST_VALUE = 60
_LONGEST_LABEL = 300
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, order=True)
class Place:
    """Where a value comes from.

    :param order: its line; for ``--set``, a number from :data:`BEYOND_LINES`.
    :param label: as users see it, e.g. ``profiles/x.yaml:7`` or ``--set resources.cpus=0``.
    """

    order: int
    label: str


@dataclass(frozen=True)
class Problem:
    """An error in a profile.

    :param location: the path of the field in the data; empty for the whole file.
    """

    place: Place
    location: Location
    message: str

    def __str__(self) -> str:
        path = dotted(self.location)
        return f"{self.place.label}: {path}: {self.message}" if path else f"{self.place.label}: {self.message}"


@dataclass(frozen=True)
class Finding:
    """A problem in the data.

    :param rests_on: the other values that it was concluded from, where :data:`ANY` stands for every step; if one
        of them is wrong, the finding means nothing.
    """

    location: Location
    message: str
    rests_on: tuple[Location, ...] = ()

    def is_doubtful(self, wrong: Iterable[Location]) -> bool:
        """Whether there is an error at, below or above the values that the finding rests on."""
        return any(
            all(step in (ANY, other) for step, other in zip(basis, location, strict=False))
            for location in wrong
            for basis in self.rests_on
        )


def profile_error(name: str, problems: Iterable[Problem]) -> ProfileError:
    """All problems as one error, in the order of the file."""
    problems = list(problems)
    lines = list(dict.fromkeys(map(str, sorted(problems, key=lambda problem: problem.place))))
    more = len(lines) - MOST_SHOWN
    details = lines[:MOST_SHOWN] + ([f"... and {more} more"] if more > 0 else [])
    count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
    command = f"labgen profile validate {shlex.quote(clipped(name))}"
    from_file = [problem.place.order < BEYOND_LINES for problem in problems]
    resolution = f"Correct the file, then check it: {command}" if any(from_file) else "Correct the --set options."
    if any(from_file) and not all(from_file):
        resolution = f"Correct the --set options and the file; then check the file: {command}"
    return ProfileError(f"profile '{clipped(name)}' has {count}", "\n".join(details), resolution)


def within(location: Location, others: Iterable[Location]) -> bool:
    """Whether the location is one of the others, or is below one."""
    return any(location[: len(other)] == other for other in others)


def dotted(location: Sequence[str | int]) -> str:
    """``("nodes", "worker", "provision", 0)`` as ``nodes.worker.provision[0]``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + (part if _PLAIN_KEY.fullmatch(part) else shown(part))
    return path


def shown(value: object) -> str:
    """A value as an error can repeat it: short, on one line, no control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value[: _LONGEST_VALUE + 1]) if isinstance(value, str) else str(value)
    quote = text[-1] if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]}...{quote}"


def clipped(text: str) -> str:
    """Text for a label: what cannot be printed is escaped, what is too long is cut."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: _LONGEST_LABEL + 1])
    return printable if len(printable) <= _LONGEST_LABEL else f"{printable[:_LONGEST_LABEL]}..."


def suggestion(word: str, choices: Iterable[str]) -> str:
    """``; did you mean 'btrfs'?``, or the available choices."""
    choices = sorted(choices)
    # A long word is not a mistyped choice, and would take long to compare.
    if near := difflib.get_close_matches(word[:64].lower(), choices, n=1):
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""
