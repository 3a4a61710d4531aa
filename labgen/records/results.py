"""What was tried in a lab, how, and what came out: a record for every drill, deploy and rebalance.

A record is written when the work begins and after every step, so that the part that was done
is kept if the command is killed.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from labgen import paths
from labgen.records.inspections import Inspection
from labgen.records.record import Damaged, Kind
from labgen.traffic import Second

# "running": or its command was killed. "passed" and "failed": what was expected happened, or did not. "detached":
# nobody has waited for it.
Verdict = Literal["running", "passed", "failed", "interrupted", "detached"]
FILE_MODE = 0o600  # what commands print may contain what only its owner should know


@dataclass(frozen=True)
class Step:
    """:param at: seconds since the beginning. :param command: as a user would type it; empty: none.

    :param output: what it printed.
    """

    at: float
    text: str
    command: str = ""
    output: str = ""


@dataclass(frozen=True)
class Happening:
    """Something that happened by itself. :param at: seconds since the beginning, when it was seen."""

    at: float
    text: str


@dataclass(frozen=True)
class Number:
    """Something measured. :param value: None: it did not happen. :param expected: from settings, in words.

    :param of: what it was measured of, if the same was measured of several things; e.g. a load balancer.
    """

    name: str
    value: float | None
    unit: str = ""
    expected: str = ""
    of: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.of}: {self.name}" if self.of else self.name

    @property
    def in_words(self) -> str:
        return "never" if self.value is None else f"{self.value:g} {self.unit}".strip()


@dataclass(frozen=True)
class Check:
    """A part of the hypothesis. :param evidence: what was seen."""

    text: str
    passed: bool
    evidence: str = ""


@dataclass(frozen=True)
class Requests:
    """What became of all requests.

    :param causes: how many failed, by cause. :param seconds: those in which any failed, since the first request.
    :param latency: in milliseconds, by percentile. :param nodes: how many were answered by each node.
    :param kept_up: whether they were sent on time.
    """

    targets: tuple[str, ...]
    rate: float
    sent: int
    failed: int
    causes: Mapping[str, int]
    seconds: tuple[int, ...]
    latency: Mapping[str, float]
    nodes: Mapping[str, int]
    tasks: Mapping[str, int]
    kept_up: bool

    @property
    def failed_in(self) -> str:
        """The seconds in which any failed, as ``3, 8-13``."""
        return ranges(self.seconds)


@dataclass(frozen=True)
class TaskRun:
    """A task that ran on a node, as far as the managers knew. :param task: e.g. ``hello_web.4``.

    :param since: seconds since the beginning, when it was first seen. :param until: when it was first seen no more;
        None: it still ran at the last look.
    """

    task: str
    service: str
    node: str
    since: float
    until: float | None = None


@dataclass(frozen=True)
class Result:
    """:param began: local time, ISO 8601. :param ended: likewise; empty: it has not, or was killed.

    :param tasks: how many ran on each node, by moment. :param load_began: seconds since the beginning.
    :param failure: the error that ended it; empty: none. :param version: labgen's.
    :param runs: of all services' tasks, in the order of their beginnings.
    :param inspection: what ran, and with which settings; None: it was not looked at.
    """

    kind: str
    name: str
    service: str
    began: str
    hypothesis: str = ""
    verdict: Verdict = "running"
    ended: str = ""
    failure: str = ""
    version: str = ""
    steps: tuple[Step, ...] = ()
    happenings: tuple[Happening, ...] = ()
    numbers: tuple[Number, ...] = ()
    checks: tuple[Check, ...] = ()
    tasks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    requests: Requests | None = None
    load_began: float = 0.0
    series: tuple[Second, ...] = ()
    runs: tuple[TaskRun, ...] = ()
    inspection: Inspection | None = None

    @property
    def things(self) -> list[str]:
        """What the same was measured of, for a table with a column for each; none: there is nothing to compare."""
        return list(dict.fromkeys(each.of for each in self.numbers if each.of))

    @property
    def compared(self) -> dict[str, dict[str, Number]]:
        """What was measured of several things: by its name, and by what it is of."""
        found: dict[str, dict[str, Number]] = {}
        for each in self.numbers:
            if each.of:
                found.setdefault(each.name, {})[each.of] = each
        return found

    @property
    def alone(self) -> list[Number]:
        """The numbers that such a table does not show in full: those of one thing, and those that were predicted."""
        return [each for each in self.numbers if not each.of or each.expected]

    def __post_init__(self) -> None:
        """:raises ValueError: a time is none; the record is damaged."""
        for moment in (self.began, *filter(None, (self.ended,))):
            if not datetime.fromisoformat(moment).tzinfo:
                raise ValueError(f"{moment!r} has no offset")


_KIND = Kind(Result, mode=FILE_MODE, later=("runs", "inspection", "numbers.of"))


def ranges(numbers: Sequence[int]) -> str:
    """As ``3, 8-13``. :param numbers: in ascending order."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def begun(kind: str, name: str, service: str, hypothesis: str) -> Result:
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return Result(kind, name, service, now, hypothesis, version=metadata.version("labgen"))


def record_name(result: Result) -> str:
    """Of its file, without ``.json``; as ``20261127-202133-825-drill``."""
    moment = datetime.fromisoformat(result.began).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    return f"{moment}-{result.kind}"


def save(lab: str, result: Result) -> None:
    _KIND.save(paths.results(lab) / f"{record_name(result)}.json", result)


def every(lab: str) -> list[Result]:
    """All of a lab that can be read, the oldest first."""
    return within(paths.results(lab))


def within(directory: Path) -> list[Result]:
    """The same in any directory."""
    found = []
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(Damaged, FileNotFoundError):
            found.append(_KIND.load(path))
    return found
