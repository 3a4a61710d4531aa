"""The versions on the nodes, and the proof that they agree. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labgen.records.inspections import InspectedNode
from labgen.records.journals import Journal
from labgen.records.results import Result
from labgen.report.text import counted


@dataclass(frozen=True)
class Agreement:
    """One property of all nodes. :param values: what was seen on each, by node; several if it changed.

    :param evidence: a sentence.
    """

    name: str
    values: Mapping[str, tuple[str, ...]]
    evidence: str

    @property
    def agrees(self) -> bool:
        return len({value for values in self.values.values() for value in values}) == 1


def agreements(journal: Journal | None, results: Sequence[Result]) -> Iterator[Agreement]:
    """The box, the kernel, the engine, and its storage. Nodes that have no Docker have no engine."""
    for name, seen, looks in _properties(journal, results):
        if seen:
            values = {node: tuple(dict.fromkeys(found)) for node, found in seen.items()}
            yield Agreement(name, values, _sentence(values, looks))


def _sentence(values: Mapping[str, tuple[str, ...]], looks: int) -> str:
    different = list(dict.fromkeys(value for found in values.values() for value in found))
    where = f"{counted(len(values), 'node')}, {counted(looks, 'look')}"
    if len(different) == 1:
        return f"the same everywhere ({where})"
    return f"{len(different)} different ones: {', '.join(different)} ({where})"


def _properties(
    journal: Journal | None, results: Sequence[Result]
) -> Iterator[tuple[str, dict[str, list[str]], int]]:
    """Name; what was seen, by node; how often it was looked at."""
    inspections = [each.inspection for each in results if each.inspection]
    looks = len(inspections) + bool(journal and journal.facts)
    boxes: dict[str, list[str]] = {}
    if journal:
        boxes = {node.name: [f"{journal.lab.box.name} {journal.lab.box.version}"] for node in journal.lab.nodes}
    for inspection in inspections:
        for node in inspection.nodes:
            boxes.setdefault(node.name, []).append(inspection.box)
    yield "box", boxes, len(inspections) + bool(journal)
    facts = journal.facts if journal else {}
    of_facts = {
        "kernel": {name: each.kernel for name, each in facts.items()},
        "Docker Engine": {name: each.engine_version for name, each in facts.items()},
        "storage driver": {name: each.storage_driver for name, each in facts.items()},
        "file system below it": {name: each.backing_filesystem for name, each in facts.items()},
    }
    for name, verified in of_facts.items():
        seen = {node: [value] for node, value in verified.items() if value}
        for inspection in inspections:
            for inspected in inspection.nodes:
                if value := _value(inspected, name):
                    seen.setdefault(inspected.name, []).append(value)
        yield name, seen, looks


def _value(node: InspectedNode, name: str) -> str:
    return {
        "kernel": node.kernel,
        "Docker Engine": node.engine,
        "storage driver": node.storage_driver,
        "file system below it": node.backing_filesystem,
    }[name]
