"""What was tried in a lab, one exercise for each record, with names by which notes and links refer to it. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from labgen.records.results import Result, Step, record_name
from labgen.report.notes import Note
from labgen.report.pictures.axis import Axis, Mark
from labgen.report.text import counted

MOST_MARKS = 30  # in a picture; further steps are in the text


@dataclass(frozen=True)
class Exercise:
    """:param keys: the names by which notes refer to it. :param anchor: by which links do. :param notes: about it."""

    result: Result
    title: str
    keys: tuple[str, ...]
    anchor: str
    notes: tuple[Note, ...] = ()

    @cached_property
    def verdict(self) -> str:
        """In words: a record that says that it runs is of a command that was killed, or is still at work."""
        return "not finished" if self.result.verdict == "running" else self.result.verdict

    @cached_property
    def when(self) -> str:
        """As ``2026-11-27 20:21:33``, the time of the host it was done on."""
        return self.result.began[:19].replace("T", " ")

    @cached_property
    def seconds(self) -> float:
        """How long it took, as far as the record tells."""
        result = self.result
        if result.ended:
            began, ended = (datetime.fromisoformat(each) for each in (result.began, result.ended))
            return max(0.0, (ended - began).total_seconds())
        told = [at for at, _, _ in moments(result)]
        return max([*told, result.load_began + len(result.series)])

    @cached_property
    def acts(self) -> list[tuple[int, Step]]:
        """The steps with a command, numbered as in the pictures."""
        return list(enumerate((step for step in self.result.steps if step.command), start=1))

    @cached_property
    def axis(self) -> Axis:
        result = self.result
        end = max(self.seconds, result.load_began + len(result.series) if result.series else 0.0)
        return Axis(end, tuple(Mark(step.at, number, step.text) for number, step in self.acts[:MOST_MARKS]))

    @cached_property
    def nodes(self) -> list[str]:
        """All that the record names."""
        result = self.result
        seen = [node.name for node in result.inspection.nodes] if result.inspection else []
        counted_on = [name for at in result.tasks.values() for name in at]
        return list(dict.fromkeys([*seen, *counted_on, *(run.node for run in result.runs)]))

    @cached_property
    def summary(self) -> str:
        """What became of the requests, in a sentence; empty: none were sent."""
        requests = self.result.requests
        if not requests or not requests.sent:
            return ""
        share = 100 * (requests.sent - requests.failed) / requests.sent
        causes = ", ".join(f"{count} {cause}" for cause, count in requests.causes.items())
        failed = f"{requests.failed} failed ({causes})" if requests.failed else "none failed"
        where = f", in {counted(len(requests.seconds), 'second')}" if requests.seconds else ""
        return f"Of {counted(requests.sent, 'request')}, {failed}{where}; {share:.2f} % were answered."


def listed(results: Sequence[Result]) -> list[Exercise]:
    """In the order in which they were done. Those with the same name are numbered."""
    totals = Counter(_name(each) for each in results)
    seen = Counter[str]()
    return [_exercise(each, seen, totals) for each in results]


def _exercise(result: Result, seen: Counter[str], totals: Counter[str]) -> Exercise:
    name = _name(result)
    seen[name] += 1
    number, total = seen[name], totals[name]
    title = f"{result.kind} {name}" if result.kind != name else name
    anchor = f"exercise-{sum(seen.values())}"
    if total == 1:
        return Exercise(result, title, (name, record_name(result)), anchor)
    return Exercise(result, f"{title} ({number} of {total})", (f"{name} {number}", record_name(result)), anchor)


def _name(result: Result) -> str:
    """A drill's, a stack's; a rebalance has none."""
    return result.name or result.kind


def moments(result: Result) -> Iterator[tuple[float, str, str]]:
    """What was done and what happened, in the order of their moments: time, ``did`` or ``saw``, text."""
    told = [(step.at, "did", step.text) for step in result.steps]
    told += [(each.at, "saw", each.text) for each in result.happenings]
    yield from sorted(told, key=lambda each: each[0])
