"""What reports say, in every format, and that nothing in the records can change how they read."""

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from labgen import paths
from labgen.errors import UsageError
from labgen.records.results import Result, Step, TaskRun
from labgen.report import exercises, views
from labgen.report.agreement import agreements
from labgen.report.content import Heading, Records, compiled
from labgen.report.html import data, html
from labgen.report.markdown import markdown
from labgen.report.text import LONGEST, clean, line, shortened
from tests.report import example
from tests.report.example import HOSTILE

UPLOT = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
VOID = {"meta", "img", "br", "hr", "rect", "line", "path", "col"}


class Page(HTMLParser):
    """:ivar elements: all, with their attributes. :ivar text: what is to be read, without scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open, f"</{tag}> ends nothing"
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(text: str) -> Page:
    found = Page(text)
    found.close()
    assert found._open == []
    return found


@pytest.mark.parametrize("name", UPLOT)
def test_the_library_for_charts_is_the_published_one(name: str) -> None:
    content = (paths.report_assets() / "uplot" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == UPLOT[name]
    assert UPLOT[name] in (paths.report_assets() / "uplot" / "README.md").read_text()


def test_the_page_has_all_parts() -> None:
    report = example.report()
    found = page(html(report, example.DIRECTORY))
    headings = [attributes.get("id") for tag, attributes in found.elements if tag == "h2"]
    assert headings == [
        "contents",
        "summary",
        "introduction",
        "topology",
        "versions",
        "exercises",
        "practices",
    ]
    for said in (example.HEADING.title, example.HEADING.author, example.HEADING.course, example.HEADING.date):
        assert said in found.text
    for exercise in report.exercises:
        assert {"id": exercise.anchor, "aria-labelledby": f"{exercise.anchor}-title"} in found.named("article")
        assert exercise.result.hypothesis in found.text
        for step in exercise.result.steps:
            assert step.text in found.text
            assert step.command in found.text
        for check in exercise.result.checks:
            assert check.text in found.text
        for number in exercise.result.numbers:
            assert number.in_words in found.text


def test_no_verdict_is_told_by_its_colour_alone() -> None:
    text = html(example.report(), example.DIRECTORY)
    told = re.findall(r'<span class="verdict (\w+)">(.*?)</span>', text)
    assert {tone for tone, _ in told} == {"good", "bad"}
    marks = {"good": "✓", "bad": "✗"}
    assert [words for tone, words in told if not re.fullmatch(f"{marks[tone]} [a-z ]+", words)] == []


def test_each_link_within_the_page_leads_somewhere() -> None:
    found = page(html(example.report(), example.DIRECTORY))
    anchors = {attributes.get("id") for _, attributes in found.elements}
    links = [attributes["href"] or "" for attributes in found.named("a")]
    assert links
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    identities = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(identities) == len(set(identities))


def loaded(found: Page) -> list[str]:
    """The addresses that a browser would ask for."""
    names = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}
    links = [attributes["href"] or "" for tag, attributes in found.elements if "href" in attributes and tag != "a"]
    return links + [attributes[name] or "" for _, attributes in found.elements for name in names & attributes.keys()]


@pytest.mark.parametrize("report", [example.report(), example.hostile()], ids=["example", "hostile"])
def test_the_page_loads_nothing(report: object) -> None:
    text = html(report, example.DIRECTORY)  # type: ignore[arg-type]
    found = page(text)
    assert [address for address in loaded(found) if not address.startswith("data:image/")] == []
    assert not re.search(r"url\((?!#)|@import", text)


def test_hostile_texts_are_only_texts() -> None:
    tame, wild = page(html(example.report(with_notes=False), Path())), page(html(example.hostile(), Path()))
    # The same elements, except that long outputs fold and labels without room are left out: no text has become one.
    folding = {"details", "summary", "text"}
    assert [tag for tag, _ in wild.elements if tag not in folding] == [
        tag for tag, _ in tame.elements if tag not in folding
    ]
    assert [name for _, attributes in wild.elements for name in attributes if name.startswith("on")] == []
    assert "</script><script>window.broken = 1</script>" in wild.text
    assert "\x1b" not in wild.text
    assert "{{ 7 * 7 }}" in wild.text
    assert not set("\u202e\u2066\u2028\x00\x08\ud800") & set(wild.text)
    assert r"\u202egnp.exe" in wild.text


def test_hostile_texts_do_not_end_the_data() -> None:
    text = html(example.hostile(), Path())
    (found,) = re.findall(r'<script type="application/json" id="series">(.*?)</script>', text, re.DOTALL)
    assert set(json.loads(found)) == {each.anchor for each in example.hostile().exercises if each.result.series}
    assert "</script" not in data(["</script>", "<!--", "&"])
    assert json.loads(data(["</script>", "<!--", "&"])) == ["</script>", "<!--", "&"]


def test_the_policy_allows_the_scripts_and_styles_of_the_page_alone() -> None:
    text = html(example.report(), example.DIRECTORY)
    (policy,) = [each["content"] for each in page(text).named("meta") if "http-equiv" in each]
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    assert rules["script-src"].count("sha256-") == text.count("<script>")
    assert rules["style-src"].count("sha256-") == text.count("<style>") == 1
    assert ' style="' not in text


def test_pictures_are_well_formed_and_the_same_every_time() -> None:
    for report in (example.report(), example.hostile()):
        for exercise in report.exercises:
            for first, again in zip(views.pictures(exercise), views.pictures(exercise), strict=True):
                assert first.svg == again.svg
                root = ElementTree.fromstring(first.svg)
                assert root.get("aria-label") == clean(first.caption)
                shapes = {each.tag.rpartition("}")[2] for each in root.iter()}
                assert shapes <= {"svg", "pattern", "rect", "path", "line", "text", "title"}


def test_a_megabyte_of_output_is_shortened() -> None:
    found = example.records()
    step = Step(1.0, "printing", "manager1$ yes", "<b>&" * 2_500_000)
    result = replace(of("hello"), steps=(step,))
    for render in (html, markdown):
        text = render(compiled(replace(found, results=(result,)), example.HEADING), Path())
        assert len(text) < 400_000
        assert "9980000 characters are left out" in text


def test_shortened_text_keeps_both_ends() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    text = shortened("a" * LONGEST + "z" * LONGEST)
    assert text.startswith("aaa")
    assert text.endswith("zzz")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        ("a\u202eb", r"a\u202eb"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("a\u00a0b", "a b"),
        ("naïve ✓ 日本", "naïve ✓ 日本"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(given: str, shown: str) -> None:
    assert clean(given) == shown


def test_a_line_is_short() -> None:
    assert line("one\n two   three", 8) == "one two…"
    assert line("one", 3) == "one"


def test_markdown_has_all_parts_and_is_no_markup() -> None:
    text = markdown(example.report(), example.DIRECTORY)
    for part in ("## Summary", "## Topology", "## Versions", "## Exercises", "## Best practices", "```mermaid"):
        assert part in text
    wild = MarkdownIt("commonmark").enable("table").parse(markdown(example.hostile(), Path()))
    inline = [child for token in wild for child in token.children or ()]
    kinds = {token.type for token in (*wild, *inline)}
    assert not {"html_block", "html_inline", "image", "code_inline"} & kinds
    assert {child.attrs["href"] for child in inline if child.type == "link_open"} <= {
        each.practice.source for each in example.hostile().found
    }
    tame = MarkdownIt("commonmark").enable("table").parse(markdown(example.report(with_notes=False), Path()))
    assert [token.type for token in wild if token.type.endswith("_open")] == [
        token.type for token in tame if token.type.endswith("_open")
    ]


def of(name: str) -> Result:
    """An example of a record."""
    return next(each for each in example.records().results if each.name == name)


def test_exercises_with_the_same_name_are_numbered() -> None:
    first, second = (replace(of("rollback"), began=f"2026-11-27T20:0{n}:00.000+00:00") for n in (1, 2))
    found = exercises.listed([first, of("hello"), second])
    assert [each.keys for each in found] == [
        (f"{first.name} 1", "20261127-200100-000-drill"),
        ("hello", "20261127-201933-909-deploy"),
        (f"{first.name} 2", "20261127-200200-000-drill"),
    ]
    assert [each.anchor for each in found] == ["exercise-1", "exercise-2", "exercise-3"]
    assert found[2].title == f"drill {first.name} (2 of 2)"


def killed() -> Result:
    return replace(of("rollback"), verdict="running", ended="", checks=(), requests=None, series=(), runs=())


def test_a_record_that_was_not_finished_is_told_as_such() -> None:
    report = compiled(Records("lab", (killed(),)), Heading("x"))
    assert not report.passed
    assert views.conclusion(report) == "Of 1 exercise, 0 passed; 1 not finished."
    assert "not finished" in page(html(report, Path())).text


def test_a_record_of_an_earlier_version_makes_a_report_too() -> None:
    """Without where tasks ran, without settings, and without a journal."""
    old = replace(of("rollback"), runs=(), inspection=None)
    report = compiled(Records("lab", (old,)), Heading("x"))
    text = page(html(report, Path())).text
    assert "No record tells the versions." in text
    assert "No record tells what ran" in text
    assert "No record tells what ran." in markdown(report, Path())


def test_versions_that_differ_are_told() -> None:
    found = example.records()
    assert found.journal
    facts = dict(found.journal.facts)
    facts["worker1"] = replace(facts["worker1"], kernel="6.1.0")
    listed = {each.name: each for each in agreements(replace(found.journal, facts=facts), ())}
    assert not listed["kernel"].agrees
    assert "2 different ones" in listed["kernel"].evidence
    assert listed["Docker Engine"].agrees
    assert listed["Docker Engine"].evidence == "the same everywhere (3 nodes, 1 look)"


def test_a_version_that_changed_is_told() -> None:
    result = next(each for each in example.records().results if each.inspection)
    inspection = result.inspection
    assert inspection
    later = replace(inspection, nodes=tuple(replace(node, engine="29.0.0") for node in inspection.nodes))
    listed = agreements(None, [result, replace(result, inspection=later)])
    engine = next(each for each in listed if each.name == "Docker Engine")
    assert not engine.agrees
    assert engine.values["worker1"][1] == "29.0.0"


def test_tasks_of_many_nodes_are_counted_where_they_are_not_drawn() -> None:
    runs = tuple(TaskRun(f"web.{n}", "web", "worker1", 0.0) for n in range(30))
    result = replace(of("rollback"), runs=runs, series=(), tasks={"before": {"worker1": 30}})
    (exercise,) = exercises.listed([result])
    (picture,) = views.pictures(exercise)
    assert picture.svg.count('class="task"') == 12
    assert "and 18 more" in picture.svg


def test_notes_are_where_they_belong() -> None:
    report = example.report()
    by_key = {each.keys[0]: each for each in report.exercises}
    assert [len(each.notes) for each in report.exercises].count(1) == 4
    (note,) = by_key["rollback"].notes
    assert note.source in example.NOTES.read_text()


def test_a_heading_that_matches_no_exercise(tmp_path: Path) -> None:
    from labgen.report import notes

    (tmp_path / "notes.md").write_text("# x\n\ntext\n\n## rollbak\n\nmore\n")
    with pytest.raises(UsageError, match=r"notes.md, line 5: the heading 'rollbak' matches no exercise") as caught:
        compiled(example.records(), example.HEADING, notes.read(tmp_path / "notes.md"))
    assert "Did you mean rollback?" in caught.value.details


def test_hostile_text_is_hostile() -> None:
    assert {"\x1b", "\u202e", "\ud800", "<", '"'} <= set(HOSTILE)
