"""What a command writes down while it works in a lab."""

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from labgen.errors import LabgenError
from labgen.progress import Progress
from labgen.records import results
from labgen.records.inspections import Inspection
from labgen.records.results import Check, Happening, Number, Requests, Result, Step, TaskRun
from labgen.traffic import Measurement

OUTPUT = 4000  # characters of a command's output that are kept


class Notebook:
    """:ivar result: the record so far; it is saved whenever something is added."""

    def __init__(self, lab: str, result: Result, progress: Progress) -> None:
        """:param lab: its name."""
        self.result, self.progress = result, progress
        self._lab = lab
        self._running: dict[tuple[str, str, str], int] = {}  # the places of their records
        self._began = time.monotonic()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def saw(self, text: str, output: str = "", command: str = "") -> None:
        """Keeps something that was looked at, and tells it."""
        self._end(self._begin(text, command), output)

    def did(self, text: str, command: str) -> None:
        """Keeps something that was done, and told by others. :param command: as a user would type it."""
        self._end(Step(round(self.now(), 3), text, command), "")

    def tasks(self, moment: str, spread: Mapping[str, int]) -> None:
        """Keeps how many tasks run on each node. :param moment: before, during, after."""
        self._keep(tasks={**self.result.tasks, moment: dict(spread)})

    def inspected(self, found: Inspection) -> None:
        """Keeps what ran, and with which settings, when it was looked at."""
        self._keep(inspection=replace(found, at=round(self.now(), 3)))

    def running(self, tasks: Collection[tuple[str, str, str]]) -> None:
        """Notes which tasks run now; saved together with what comes next: a look alone is not worth a record.

        :param tasks: id, name as SERVICE.SLOT, and node of each.
        """
        now, current = round(self.now(), 3), set(tasks)
        runs = list(self.result.runs)
        for gone in self._running.keys() - current:
            number = self._running.pop(gone)
            runs[number] = replace(runs[number], until=now)
        for task in sorted(current - self._running.keys(), key=lambda each: each[1:]):
            _, name, node = task
            self._running[task] = len(runs)
            runs.append(TaskRun(name, name.rpartition(".")[0], node, now))
        self.result = replace(self.result, runs=tuple(runs))

    def happened(self, text: str) -> None:
        """Keeps something that happened by itself, and was seen now."""
        self._keep(happenings=(*self.result.happenings, Happening(round(self.now(), 3), text)))

    def number(self, name: str, value: float | None, unit: str = "s", expected: str = "", of: str = "") -> None:
        rounded = None if value is None else round(value, 1)
        self._keep(numbers=(*self.result.numbers, Number(name, rounded, unit, expected, of)))

    def check(self, text: str, passed: bool, evidence: str = "") -> None:
        """A part of the hypothesis, which is true or not."""
        self._keep(checks=(*self.result.checks, Check(text, passed, evidence)))

    def requests(self, measured: Measurement) -> None:
        """What became of the requests of a load."""
        requests = Requests(
            tuple(dict.fromkeys(measured.targets)),
            measured.rate,
            len(measured.answers),
            len(measured.failures),
            measured.causes(),
            tuple(measured.failed_seconds()),
            measured.latency(),
            {share.name: share.answers for share in measured.nodes()},
            {share.name: share.answers for share in measured.tasks()},
            measured.kept_up,
        )
        self._keep(requests=requests, series=tuple(measured.seconds()))

    def end(self, verdict: results.Verdict, failure: str = "") -> Result:
        ended = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._keep(verdict=verdict, ended=ended, failure=failure)
        return self.result

    def fail(self, error: BaseException) -> None:
        """The work ended with an error."""
        self.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", in_words(error))

    @contextlib.contextmanager
    def concluded(self) -> Iterator[None]:
        """Keeps the error that ends the work, if one does."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(OSError):  # the first error is the one to report
                self.fail(error)
            raise

    def _begin(self, text: str, command: str) -> Step:
        self.progress.note(f"{text}\n  {command}" if command else text)
        return Step(round(self.now(), 3), text, command)

    def _end(self, step: Step, output: str) -> None:
        self._keep(steps=(*self.result.steps, replace(step, output=output.strip()[-OUTPUT:])))

    def _keep(self, **fields: object) -> None:
        self.result = replace(self.result, **fields)  # type: ignore[arg-type]
        results.save(self._lab, self.result)


def in_words(error: BaseException) -> str:
    if isinstance(error, LabgenError):
        return f"{error.brief}\n{error.details}".strip()
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
