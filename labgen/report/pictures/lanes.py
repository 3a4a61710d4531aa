"""Where each task ran, and when: a lane for each node, a bar for each task."""

from collections.abc import Sequence

from labgen.records.results import TaskRun
from labgen.report.pictures.axis import LEFT, RIGHT, WIDTH, Axis
from labgen.report.pictures.svg import CHARACTER, Drawing
from labgen.report.text import line

TOP, BAR, GAP, BELOW = 46.0, 15.0, 3.0, 30.0
MOST_ROWS = 12  # of one node; further tasks are counted, not drawn


def lanes(runs: Sequence[TaskRun], nodes: Sequence[str], axis: Axis, title: str) -> str:
    """:param nodes: in this order; those without tasks have a lane, too."""
    rows = {node: _rows([run for run in runs if run.node == node], axis.end) for node in nodes}
    heights = {node: max(1, min(len(found), MOST_ROWS)) * (BAR + GAP) + 8 for node, found in rows.items()}
    bottom = TOP + sum(heights.values())
    drawing = Drawing(WIDTH, bottom + BELOW, title, "lanes")
    drawing.text(4, 14, "tasks on each node")
    y = TOP
    for number, height in enumerate(heights.values()):
        drawing.box((LEFT, y, WIDTH - LEFT - RIGHT, height), "lane odd" if number % 2 else "lane")
        y += height
    axis.draw(drawing, TOP, bottom)
    services = {run.service for run in runs}
    y = TOP
    for node, height in heights.items():
        drawing.text(LEFT - 6, y + height / 2 + 4, line(node, 13), "label end")
        for number, row in enumerate(rows[node][:MOST_ROWS]):
            for run in row:
                _bar(drawing, run, axis, y + 5 + number * (BAR + GAP), several=len(services) > 1)
        if more := sum(map(len, rows[node][MOST_ROWS:])):
            drawing.text(WIDTH - RIGHT - 4, y + height - 4, f"and {more} more", "label end")
        y += height
    return str(drawing)


def _bar(drawing: Drawing, run: TaskRun, axis: Axis, y: float, *, several: bool) -> None:
    """:param several: there are several services, so that a task's number alone says too little."""
    until = axis.end if run.until is None else run.until
    left, right = axis.x(run.since), axis.x(until)
    end = "it still ran at the end" if run.until is None else f"until {run.until:.0f} s"
    place = (left, y, max(right - left, 2.0), BAR)
    drawing.box(place, "task", f"{run.task} on {run.node}, from {run.since:.0f} s, {end}")
    name = run.task if several else run.task.removeprefix(run.service)
    if (room := int((right - left - 8) / CHARACTER)) >= min(len(name), 4):
        drawing.text(left + 4, y + 11.5, line(name, room), "inside")


def _rows(runs: Sequence[TaskRun], end: float) -> list[list[TaskRun]]:
    """Bars that do not overlap, in as few rows as possible."""
    rows: list[list[TaskRun]] = []
    for run in sorted(runs, key=lambda each: (each.since, each.task)):
        for row in rows:
            if _until(row[-1], end) <= run.since:
                row.append(run)
                break
        else:
            rows.append([run])
    return rows


def _until(run: TaskRun, end: float) -> float:
    return end if run.until is None else run.until
