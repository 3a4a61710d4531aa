"""What a report says, whatever its format: from the records of a lab to its parts. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from labgen.records.inspections import Inspection
from labgen.records.journals import Journal
from labgen.records.results import Result
from labgen.report import exercises
from labgen.report.agreement import Agreement, agreements
from labgen.report.exercises import Exercise
from labgen.report.notes import Note, Notes
from labgen.report.practices import PRACTICES, Finding
from labgen.report.topology import Machine, Topology, attached, images, published

DONE = {"passed", "detached"}


@dataclass(frozen=True)
class Records:
    """What a report is made of. :param destroyed: when the lab was, in words; empty: it exists."""

    lab: str
    results: tuple[Result, ...]
    journal: Journal | None = None
    destroyed: str = ""


@dataclass(frozen=True)
class Heading:
    """What the user says about the report. :param date: in words."""

    title: str
    author: str = ""
    course: str = ""
    date: str = ""


@dataclass(frozen=True)
class Report:
    """:param found: about best practices; empty: no record tells what ran."""

    heading: Heading
    records: Records
    exercises: tuple[Exercise, ...]
    agreements: tuple[Agreement, ...]
    found: tuple[Finding, ...]
    topology: Topology
    introduction: Note = field(default_factory=Note)
    verdicts: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def passed(self) -> bool:
        return all(each.result.verdict in DONE for each in self.exercises)

    def practices(self, verdict: str) -> int:
        """How many have that verdict."""
        return len([each for each in self.found if each.verdict == verdict])


def compiled(records: Records, heading: Heading, notes: Notes | None = None) -> Report:
    """:raises UsageError: a heading of the notes matches no exercise."""
    listed = exercises.listed(records.results)
    if notes:
        notes.require_known([key for each in listed for key in each.keys])
        texts = notes.exercises
        listed = [replace(each, notes=tuple(texts[key] for key in each.keys if key in texts)) for each in listed]
    inspection = _latest(records.results)
    return Report(
        heading,
        records,
        tuple(listed),
        tuple(agreements(records.journal, records.results)),
        tuple(practice.check(inspection) for practice in PRACTICES) if inspection else (),
        _topology(records, inspection),
        notes.introduction if notes else Note(),
        dict(Counter(each.result.verdict for each in listed)),
    )


def _latest(results: Sequence[Result]) -> Inspection | None:
    """The last one that saw services; what was tried last may have found none."""
    found = [each.inspection for each in results if each.inspection]
    with_services = [each for each in found if each.services]
    return next(reversed(with_services or found), None)


def _topology(records: Records, inspection: Inspection | None) -> Topology:
    """As it was at the end of what was tried last."""
    lab = records.journal.lab if records.journal else None
    seen = {node.name: node for node in inspection.nodes} if inspection else {}
    tasks = _tasks_at_the_end(records.results)
    planned = {node.name: node for node in lab.nodes} if lab else {}
    machines = []
    for name in dict.fromkeys([*planned, *seen, *tasks]):
        node, member = planned.get(name), seen.get(name)
        machines.append(
            Machine(
                name,
                node.kind if node else "",
                member.role if member else node.role if node else "",
                node.address if node else "",
                member=f"{member.state}, {member.availability}" if member else "",
                leader=bool(member and member.leader),
                tasks=tuple(tasks.get(name, ())),
            )
        )
    services = inspection.services if inspection else ()
    return Topology(
        records.lab,
        lab.network.subnet if lab else "",
        lab.network.gateway if lab else "",
        tuple(machines),
        attached(inspection.networks if inspection else (), services),
        published(services),
        images(services),
    )


def _tasks_at_the_end(results: Sequence[Result]) -> dict[str, list[str]]:
    """The tasks' names, by node; of a record without them, how many there were."""
    for result in reversed(results):
        if result.runs:
            found: dict[str, list[str]] = {}
            for run in sorted(result.runs, key=lambda each: each.task):
                if run.until is None:
                    found.setdefault(run.node, []).append(run.task)
            return found
        if result.tasks:
            last = list(result.tasks.values())[-1]
            name = result.service or result.name
            return {node: [f"{name}: {count} tasks"] for node, count in last.items() if count}
    return {}
