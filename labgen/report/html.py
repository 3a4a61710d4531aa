"""A report as one HTML file that loads nothing: style, scripts, data and pictures are inside.

Its policy allows only these very scripts and styles, by their digests: whatever a container has printed cannot run.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from labgen import paths
from labgen.report import prose, views
from labgen.report.content import Report
from labgen.report.exercises import Exercise
from labgen.report.notes import Note
from labgen.report.pictures.topology import topology
from labgen.report.text import clean, shortened
from labgen.templating import Markup, markup, page

STYLES = ("colours.css", "style.css", "pictures.css", "uplot/uPlot.min.css")
SCRIPTS = ("uplot/uPlot.iife.min.js", "charts.js")
GOOD, BAD = {"passed", "pass", "yes", "agrees"}, {"failed", "fail", "no", "differs"}


@dataclass(frozen=True)
class Shown:
    """A picture in the page."""

    name: str
    svg: Markup
    caption: str
    chart: str


@dataclass(frozen=True)
class View:
    """An exercise in the page."""

    exercise: Exercise
    notes: list[Markup]
    pictures: list[Shown]
    compared: list[views.Row]
    numbers: list[views.Row]
    seconds: list[views.Row]
    tasks: list[views.Row]
    runs: list[views.Row]
    moments: list[views.Moment]


def html(report: Report, directory: Path) -> str:
    """:param directory: of the notes, for their images.

    :raises UsageError: an image of the notes is not a small local file beside them.
    """
    style = "\n".join(_asset(name) for name in STYLES)
    scripts = [_asset(name) for name in SCRIPTS]
    shown = [_view(each, directory) for each in report.exercises]
    series = {each.exercise.anchor: _series(each.exercise) for each in shown if each.seconds}
    spread_nodes, spread = views.spread(report)
    version_names, versions = views.versions(report)
    caption = topology_caption(report)
    return page(
        _asset("report.html.j2"),
        clean,
        {"tone": tone, "symbol": symbol, "seconds": duration, "shortened": shortened},
        report=report,
        version=metadata.version("labgen"),
        policy=policy(style, scripts if series else []),
        style=markup(style),
        scripts=[markup(each) for each in scripts],
        series=markup(data(series)) if series else "",
        about=views.about(report),
        conclusion=views.conclusion(report),
        figures=views.figures(report),
        introduction=_prose(report.introduction, directory, 2),
        topology=markup(topology(report.topology, caption)),
        topology_caption=caption,
        machines=views.machines(report),
        services=views.services(report),
        spread=spread,
        spread_nodes=spread_nodes,
        versions=versions,
        version_names=version_names,
        versions_conclusion=versions_conclusion(report),
        views=shown,
    )


def data(content: object) -> str:
    """JSON that cannot end the script element that it is in, whatever its texts are."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(style: str, scripts: list[str]) -> str:
    """What the page may do. https://www.w3.org/TR/CSP3"""
    run = " ".join(map(_digest, scripts)) or "'none'"
    rules = {"default-src": "'none'", "script-src": run, "style-src": _digest(style), "img-src": "data:"}
    rules |= {"base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {allowed}" for name, allowed in rules.items())


def tone(word: str) -> str:
    """The class of a verdict."""
    return "good" if word in GOOD else "bad" if word in BAD else "other"


def symbol(word: str) -> str:
    return {"good": "✓", "bad": "✗"}.get(tone(word), "○")


def duration(seconds: float) -> str:
    """As ``53.3 s`` or ``9 min 59 s``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def topology_caption(report: Report) -> str:
    last = report.exercises[-1].title if report.exercises else ""
    return f"The machines of {report.records.lab}, and what ran on them at the end of the last exercise ({last})."


def versions_conclusion(report: Report) -> str:
    differing = [each.name for each in report.agreements if not each.agrees]
    if differing:
        return f"The nodes do not agree in: {', '.join(differing)}."
    return "All nodes have the same, at every look: when the lab was verified, and at the beginning of each exercise."


def _asset(name: str) -> str:
    return (paths.report_assets() / name).read_text()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _view(exercise: Exercise, directory: Path) -> View:
    result = exercise.result
    return View(
        exercise,
        [_prose(note, directory, 3) for note in exercise.notes],
        [Shown(each.name, markup(each.svg), each.caption, each.chart) for each in views.pictures(exercise)],
        views.compared(result),
        views.numbers(result),
        views.seconds(result),
        views.tasks(result),
        views.runs(result),
        views.moments(exercise),
    )


def _prose(note: Note, directory: Path, below: int) -> Markup:
    return markup(prose.html(note.tokens, directory, below))


def _series(exercise: Exercise) -> dict[str, object]:
    """What charts.js draws."""
    result = exercise.result
    failed = [sum(each.failed.values()) for each in result.series]
    return {
        "end": exercise.axis.end,
        "at": [round(result.load_began + each.second, 1) for each in result.series],
        "sent": [each.sent for each in result.series],
        "answered": [each.sent - lost for each, lost in zip(result.series, failed, strict=True)],
        "failed": failed,
        "p50": [each.latency.get("p50") for each in result.series],
        "p99": [each.latency.get("p99") for each in result.series],
        "marks": [[mark.at, mark.number] for mark in exercise.axis.marks],
    }
