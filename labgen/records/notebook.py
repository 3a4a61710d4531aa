"""What a command writes down while it works in a lab."""

import time
from dataclasses import replace
from datetime import datetime

from labgen.progress import Progress
from labgen.records import results
from labgen.records.results import Check, Happening, Number, Requests, Result, Step
from labgen.traffic import Measurement

OUTPUT = 4000  # characters of a command's output that are kept


class Notebook:
    """:ivar result: the record so far; it is saved whenever something is added."""

    def __init__(self, lab: str, result: Result, progress: Progress) -> None:
        """:param lab: its name."""
        self.result, self.progress = result, progress
        self._lab = lab
        self._began = time.monotonic()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def saw(self, text: str, output: str = "", command: str = "") -> None:
        """Keeps something that was looked at."""
        self._end(self._begin(text, command), output)

    def happened(self, text: str) -> None:
        """Keeps something that happened by itself, and was seen now."""
        self._keep(happenings=(*self.result.happenings, Happening(round(self.now(), 3), text)))

    def number(self, name: str, value: float | None, unit: str = "s", expected: str = "") -> None:
        rounded = None if value is None else round(value, 1)
        self._keep(numbers=(*self.result.numbers, Number(name, rounded, unit, expected)))

    def check(self, text: str, passed: bool, evidence: str = "") -> None:
        """A part of the hypothesis, which is true or not."""
        self._keep(checks=(*self.result.checks, Check(text, passed, evidence)))

    def requests(self, measured: Measurement) -> None:
        """What became of the requests of a load."""
        requests = Requests(
            tuple(measured.targets),
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

    def _begin(self, text: str, command: str) -> Step:
        self.progress.note(f"{text}\n  {command}" if command else text)
        return Step(round(self.now(), 3), text, command)

    def _end(self, step: Step, output: str) -> None:
        self._keep(steps=(*self.result.steps, replace(step, output=output.strip()[-OUTPUT:])))

    def _keep(self, **fields: object) -> None:
        self.result = replace(self.result, **fields)  # type: ignore[arg-type]
        results.save(self._lab, self.result)
