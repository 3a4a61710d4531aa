"""A report as Markdown, for repositories and chats: no pictures but a Mermaid diagram, the same facts and numbers."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from labgen.report import diagrams, prose, views
from labgen.report.content import Report
from labgen.report.exercises import Exercise
from labgen.report.html import symbol, topology_caption, versions_conclusion
from labgen.report.notes import Note
from labgen.report.practices import Finding
from labgen.report.text import clean, shortened

# What Markdown, or the HTML in it, would take for markup. https://spec.commonmark.org/0.31.2/#backslash-escapes
SPECIAL = re.compile(r"([\\`*_\[\]#|>~$])")
LEADING = re.compile(r"^(\d+)?([.)=+-])(?=[\s=-]|$)")  # lists, and lines below headings


def markdown(report: Report, directory: Path) -> str:
    """The same report, in CommonMark with tables.

    :param directory: of the notes, for their images.
    :raises UsageError: an image of the notes is not a small local file beside them.
    """
    for note in (report.introduction, *(note for each in report.exercises for note in each.notes)):
        prose.html(note.tokens, directory, 0)  # as strict as the page
    parts = [f"# {text(report.heading.title)}", text(" · ".join(views.about(report))), *_summary(report)]
    if report.introduction.source.strip():
        parts += ["## Introduction", harmless(report.introduction)]
    parts += _facts(report)
    parts += ["## Exercises", *(part for each in report.exercises for part in _exercise(each))]
    parts += ["## Best practices", *_practices(report.found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(given: str) -> str:
    """A paragraph that is not markup."""
    return LEADING.sub(r"\1\\\2", _words(given))


def _words(given: str) -> str:
    """Text that is not markup, within a line."""
    words = " ".join(clean(given).replace("&", "&amp;").replace("<", "&lt;").split())
    return SPECIAL.sub(r"\\\1", words)


def fenced(given: str) -> str:
    """Text as it is, in a block that it cannot end."""
    content = clean(given)
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{content}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Empty if there are no rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), _line(["---"] * len(head)), *lines]) if lines else ""


def harmless(note: Note) -> str:
    """The author's Markdown, in which HTML is only text, except in code, where it is text already."""
    blocks = (token.map for token in prose.parsed(note.source) if token.type in {"fence", "code_block"})
    code = {row for place in blocks if place for row in range(*place)}
    rows = enumerate(note.source.splitlines())
    return "\n".join(row if number in code else _without_html(row) for number, row in rows).strip("\n")


def _without_html(row: str) -> str:
    """Code between backticks stays as it is."""
    return "".join(
        part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(re.split("(`+[^`]+`+)", row))
    )


def _row(cells: Iterable[str]) -> str:
    return _line([_words(cell) or " " for cell in cells])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _verdict(word: str) -> str:
    return f"{symbol(word)} {word}"


def _summary(report: Report) -> list[str]:
    rows = [
        [
            each.title,
            _verdict(each.verdict),
            each.result.service or views.NOTHING,
            each.when,
            f"{each.seconds:.1f} s",
            str(each.result.requests.sent) if each.result.requests else views.NOTHING,
            str(each.result.requests.failed) if each.result.requests else views.NOTHING,
        ]
        for each in report.exercises
    ]
    return [
        "## Summary",
        f"**{_verdict('passed' if report.passed else 'failed')}.** {text(views.conclusion(report))}",
        "\n".join(f"- {text(name)}: {text(value)}" for name, value in views.figures(report)),
        table(["Exercise", "Verdict", "Service", "When", "Took", "Requests", "Failed"], rows),
    ]


def _facts(report: Report) -> list[str]:
    nodes, spread = views.spread(report)
    names, versions = views.versions(report)
    agreed = [
        f"- {_verdict('agrees' if each.agrees else 'differs')}, **{text(each.name)}**: {text(each.evidence)}"
        for each in report.agreements
    ]
    return [
        "## Topology",
        text(topology_caption(report)),
        f"```mermaid\n{diagrams.mermaid(report.topology)}```",
        table(["Node", "Role", "Address", "CPUs", "Memory", "Disks", "Labels"], views.machines(report)),
        table(["Service", "Image", "Mode", "Ports", "Limits", "Health check", "Placement"], views.services(report)),
        table(["Tasks, when", *nodes], spread),
        "## Versions",
        text(versions_conclusion(report)) if versions else "No record tells the versions.",
        table(["Node", *names], versions),
        "\n".join(agreed),
    ]


def _exercise(exercise: Exercise) -> list[str]:
    result = exercise.result
    about = [exercise.when, f"{exercise.seconds:.1f} s", f"record {exercise.keys[-1]}"]
    if result.service:
        about.insert(2, f"service {result.service}")
    checks = [
        f"- {_verdict('yes' if each.passed else 'no')}: {text(each.text)}"
        f"{f' ({text(shortened(each.evidence))})' if each.evidence else ''}"
        for each in result.checks
    ]
    return [
        f"### {text(exercise.title)}: {_verdict(exercise.verdict)}",
        text(", ".join(about)),
        f"**Hypothesis.** {text(result.hypothesis)}" if result.hypothesis else "",
        f"**It ended with an error.**\n\n{fenced(shortened(result.failure))}" if result.failure else "",
        "\n".join(checks),
        *(harmless(note) for note in exercise.notes),
        text(exercise.summary),
        table(["Measured", *result.things], views.compared(result)),
        table(["Number", "Value", "Expected"], views.numbers(result)),
        table(["Tasks on", *result.tasks], views.tasks(result)),
        *(_moment(each) for each in views.moments(exercise)),
    ]


def _moment(moment: views.Moment) -> str:
    parts = [f"- {moment.at:.1f} s: {text(moment.text)}"]
    parts += [_indented(fenced(each)) for each in (shortened(moment.command), moment.output) if each]
    return "\n\n".join(parts)


def _indented(block: str) -> str:
    return "\n".join(f"  {row}" if row else "" for row in block.splitlines())


def _practices(found: Sequence[Finding]) -> list[str]:
    if not found:
        return ["No record tells what ran."]
    parts = []
    for each in found:
        head = f"- **{text(each.practice.title)}**: {_verdict(each.verdict)}. {text(each.practice.why)}"
        lines = [f"  - {text(line)}" for line in each.evidence]
        parts.append("\n".join([f"{head} [Docker]({each.practice.source})", *lines]))
    return ["\n".join(parts)]
