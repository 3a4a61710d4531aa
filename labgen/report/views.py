"""The parts of a report as rows and pictures, for the renderers of all formats. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from labgen.records.inspections import InspectedService
from labgen.records.results import Result, ranges
from labgen.report.content import Report
from labgen.report.exercises import Exercise
from labgen.report.pictures import lanes, requests
from labgen.report.practices.services import amounts
from labgen.report.text import counted, shortened

DEPLOY = "deploy"  # its record has the tasks at the end only
LONG = 12  # lines of output that are shown without asking
MOST_SECONDS = 1200  # rows of the table of seconds
NOTHING = "-"

Row = list[str]


@dataclass(frozen=True)
class Picture:
    """:param svg: XML. :param chart: the interactive one that may take its place; empty: none does.

    :param caption: what it shows, in words.
    """

    name: str
    svg: str
    caption: str
    chart: str = ""


@dataclass(frozen=True)
class Moment:
    """:param number: of a step with a command, as in pictures; 0: it is none. :param by_itself: it was only seen."""

    at: float
    text: str
    number: int = 0
    command: str = ""
    output: str = ""
    by_itself: bool = False

    @property
    def lines(self) -> int:
        return self.output.count("\n") + 1

    @property
    def is_long(self) -> bool:
        return self.lines > LONG or len(self.output) > 80 * LONG


def moments(exercise: Exercise) -> list[Moment]:
    """Steps and happenings, in the order of their moments."""
    numbers = {id(step): number for number, step in exercise.acts}
    found = [
        Moment(step.at, step.text, numbers.get(id(step), 0), step.command, shortened(step.output))
        for step in exercise.result.steps
    ]
    found += [Moment(each.at, each.text, by_itself=True) for each in exercise.result.happenings]
    return sorted(found, key=lambda each: each.at)


def pictures(exercise: Exercise) -> list[Picture]:
    result, axis = exercise.result, exercise.axis
    found = []
    if result.runs and result.kind != DEPLOY:
        tasks = counted(len(result.runs), "task")
        caption = f"{tasks} ran on {counted(len(exercise.nodes), 'node')} in {axis.end:.0f} s."
        found.append(Picture("Tasks on each node", lanes.lanes(result.runs, exercise.nodes, axis, caption), caption))
    if any(each.sent for each in result.series):
        said, began = exercise.summary, result.load_began
        svg = requests.requests(result.series, began, axis, said, exercise.anchor)
        found.append(Picture("Requests answered and failed", svg, said, "requests"))
        said = _latency_in_words(result)
        svg = requests.latency(result.series, began, axis, said)
        found.append(Picture("Time to answer", svg, said, "latency"))
    return found


def numbers(result: Result) -> list[Row]:
    """Name, value, and what was expected."""
    rows = [[each.full_name, each.in_words, each.expected or NOTHING] for each in result.alone]
    if sent := result.requests:
        causes = ", ".join(f"{count} {cause}" for cause, count in sent.causes.items())
        rows.append(["requests sent", f"{sent.sent}, {sent.rate:g} per second", NOTHING])
        rows.append(["requests failed", f"{sent.failed}{f' ({causes})' if causes else ''}", NOTHING])
        if sent.seconds:
            failed = ranges([round(result.load_began) + second for second in sent.seconds])
            rows.append(["failed at, seconds since the beginning", failed, NOTHING])
        rows += [[f"time to answer, {name}", f"{latency:.0f} ms", NOTHING] for name, latency in sent.latency.items()]
        if not sent.kept_up:
            rows.append(["sent on time", "no: the host was too busy for that rate", NOTHING])
    return rows


def compared(result: Result) -> list[Row]:
    """What was measured of several things: the name, and the value of each thing."""
    return [
        [name, *(of[each].in_words if each in of else NOTHING for each in result.things)]
        for name, of in result.compared.items()
    ]


def seconds(result: Result) -> list[Row]:
    """Of a long exercise, only those in which requests failed."""
    series = result.series
    if len(series) > MOST_SECONDS:
        series = tuple(each for each in series if each.failed)[:MOST_SECONDS]
    rows = []
    for each in series:
        failed = sum(each.failed.values())
        causes = ", ".join(f"{count} {cause}" for cause, count in each.failed.items())
        latency = [f"{each.latency[name]:.0f} ms" if name in each.latency else NOTHING for name in ("p50", "p99")]
        answered_by = ", ".join(f"{node} {count}" for node, count in each.nodes.items())
        second = f"{result.load_began + each.second:.0f}"
        rows.append(
            [second, str(each.sent), str(each.sent - failed), causes or "0", *latency, answered_by or NOTHING]
        )
    return rows


def tasks(result: Result) -> list[Row]:
    """How many ran on each node, by moment."""
    nodes = dict.fromkeys(node for at in result.tasks.values() for node in at)
    return [[node, *(str(at.get(node, 0)) for at in result.tasks.values())] for node in nodes]


def runs(result: Result) -> list[Row]:
    return [
        [run.task, run.node, f"{run.since:.0f} s", "the end" if run.until is None else f"{run.until:.0f} s"]
        for run in result.runs
    ]


def spread(report: Report) -> tuple[list[str], list[Row]]:
    """How many tasks ran on which machine, and when: the nodes, and a row for each moment of each exercise."""
    results = [(each, moment, at) for each in report.exercises for moment, at in each.result.tasks.items()]
    nodes = list(dict.fromkeys(node for _, _, at in results for node in at))
    rows = [
        [f"{each.when}, {each.title}, {moment}", *(str(at.get(node, 0)) for node in nodes)]
        for each, moment, at in results
    ]
    return nodes, rows


def machines(report: Report) -> list[Row]:
    journal = report.records.journal
    return [
        [
            node.name,
            node.role or node.kind,
            node.address,
            str(node.cpus),
            f"{node.memory_mib} MiB",
            ", ".join([f"{node.disk_gib} GiB", *(f"{disk.gib} GiB {disk.name}" for disk in node.disks)]),
            ", ".join(f"{name}={label}" for name, label in node.labels.items()) or NOTHING,
        ]
        for node in (journal.lab.nodes if journal else ())
    ]


def services(report: Report) -> list[Row]:
    inspections = [each.result.inspection for each in report.exercises if each.result.inspection]
    last = next((each for each in reversed(inspections) if each.services), None)
    return [list(_service(each)) for each in (last.services if last else ())]


def versions(report: Report) -> tuple[list[str], list[Row]]:
    """The properties, and a row for each node."""
    names = [each.name for each in report.agreements]
    nodes = dict.fromkeys(node for each in report.agreements for node in each.values)
    rows = [
        [node, *(", then ".join(each.values.get(node, ())) or NOTHING for each in report.agreements)]
        for node in nodes
    ]
    return names, rows


def figures(report: Report) -> list[tuple[str, str]]:
    """The most important numbers."""
    sent = sum(each.result.requests.sent for each in report.exercises if each.result.requests)
    failed = sum(each.result.requests.failed for each in report.exercises if each.result.requests)
    counts = [("exercises passed", f"{report.verdicts.get('passed', 0)} of {len(report.exercises)}")]
    counts += [("nodes", str(len(report.topology.machines)))] if report.topology.machines else []
    counts += [("requests sent", str(sent)), ("requests failed", str(failed))] if sent else []
    if report.found:
        checked = report.practices("pass") + report.practices("fail")
        counts.append(("best practices followed", f"{report.practices('pass')} of {checked}"))
    return counts


def conclusion(report: Report) -> str:
    """A sentence about all exercises."""
    total = counted(len(report.exercises), "exercise")
    others = ", ".join(
        f"{count} {_word(verdict)}" for verdict, count in report.verdicts.items() if verdict != "passed"
    )
    if not others:
        return f"All of {total} passed." if len(report.exercises) > 1 else "The exercise passed."
    return f"Of {total}, {report.verdicts.get('passed', 0)} passed; {others}."


def about(report: Report) -> list[str]:
    """Who and when, and of which lab."""
    heading, records = report.heading, report.records
    lab = f"lab {records.lab}{f', destroyed {records.destroyed}' if records.destroyed else ''}"
    return [each for each in (heading.author, heading.course, lab, heading.date) if each]


def _word(verdict: str) -> str:
    return "not finished" if verdict == "running" else verdict


def _service(service: InspectedService) -> Iterator[str]:
    yield service.name
    yield service.image
    yield f"{service.mode}, {service.replicas}" if service.replicas else service.mode
    yield ", ".join(f"{port.published} → {port.target}/{port.protocol}" for port in service.ports) or NOTHING
    yield amounts(service.limits) or "none"
    yield service.health_check or "none"
    yield ", ".join([*service.constraints, *(f"spread over {each}" for each in service.preferences)]) or NOTHING


def _latency_in_words(result: Result) -> str:
    latency = result.requests.latency if result.requests else {}
    if not {"p50", "p99"} <= latency.keys():
        return "How long the answers took: there were none."
    return f"Half of the answers came within {latency['p50']:.0f} ms, 99 of 100 within {latency['p99']:.0f} ms."
