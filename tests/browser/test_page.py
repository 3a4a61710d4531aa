"""Reports in a real browser: they fit, break nothing, load nothing, and can be read and reached by everyone."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labgen.report import browser as printer
from labgen.report.content import Report
from labgen.report.html import html
from tests.browser.browser import TAB, Browser, missing, opened
from tests.report import example

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
WIDTHS = [1280, 400]
PAGES = {"example": example.report, "hostile": example.hostile}
REACHABLE = "a[href], button, input, select, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    files = {}
    for name, report in PAGES.items():
        files[name] = directory / f"{name}.html"
        files[name].write_text(html(report(), example.DIRECTORY))
    return files


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_says_nothing_and_asks_for_nothing(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.size(width)
    browser.said(), browser.requested()
    browser.show(pages[name])
    browser.settle()
    assert browser.run("return [document.documentElement.scrollWidth, innerWidth]") == [width, width]
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.said() == []
    assert [address for address in browser.requested() if not address.startswith("data:image/")] == [
        pages[name].as_uri()
    ]
    assert browser.run("return typeof window.broken") == "undefined"


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *(("example", width, scheme) for width in WIDTHS for scheme in ("light", "dark")),
        ("hostile", 400, "dark"),  # it is long, and takes ten times as long
    ],
)
def test_axe_finds_nothing(browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    browser.size(width)
    browser.show(pages[name])
    browser.scheme(scheme)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    browser.run(AXE)
    found = browser.later(
        "const done = arguments[arguments.length - 1];"
        "axe.run({resultTypes: ['violations']}).then((found) => done(found.violations.map("
        "  (each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.target).slice(0, 3).join(' | ')}`"
        ")), (error) => done([String(error)]))"
    )
    assert found == []


def test_dark_is_dark(browser: Browser, pages: dict[str, Path]) -> None:
    browser.show(pages["example"])
    grounds = []
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        grounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]


def test_everything_is_reached_by_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.size(1280)
    browser.show(pages["example"])
    browser.run("scrollTo(0, 0); document.activeElement.blur()")
    count = browser.run(
        "window.wanted = [...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility());"
        "return wanted.length",
        REACHABLE,
    )
    assert count > 20
    reached = set()
    for _ in range(count + 5):
        browser.press(TAB)
        reached.add(browser.run("return wanted.indexOf(document.activeElement)"))
    assert set(range(count)) <= reached


def charts(report: Report) -> int:
    return 2 * len([each for each in report.exercises if each.result.series])


def test_charts_are_interactive(browser: Browser, pages: dict[str, Path]) -> None:
    browser.size(1280)
    browser.show(pages["example"])
    browser.settle()
    wanted = charts(example.report())
    assert wanted
    assert browser.run("return document.querySelectorAll('.uplot canvas').length") == wanted
    shown = "return [...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility()).length"
    assert browser.run(shown, "figure[data-chart] .static") == 0
    # What the pointer is on is told in words.
    said = browser.run(
        "const over = document.querySelector('.u-over'), box = over.getBoundingClientRect();"
        "const where = {clientX: box.x + box.width / 2, clientY: box.y + 20, bubbles: true};"
        "over.dispatchEvent(new MouseEvent('mousemove', where));"
        "return new Promise((done) => requestAnimationFrame(() => setTimeout(() =>"
        "  done(document.querySelector('.u-legend').innerText), 100)))"
    )
    assert "answered" in said
    assert " s" in said


def test_a_chart_follows_the_width(browser: Browser, pages: dict[str, Path]) -> None:
    browser.size(1280)
    browser.show(pages["example"])
    browser.settle()
    width = "return document.querySelector('.uplot').getBoundingClientRect().width"
    wide = browser.run(width)
    browser.size(400)
    browser.settle()
    assert browser.run(width) < 400 < wide


def test_pictures_are_there_without_scripts(browser: Browser, pages: dict[str, Path]) -> None:
    browser.size(1280)
    browser.scripts(allowed=False)
    try:
        browser.show(pages["example"])
        tree = browser.devtools("DOM.getDocument", depth=-1)["root"]
        names = [name for name in _names(tree) if name]
        assert names.count("canvas") == 0
        pictures = [node for node in _nodes(tree) if "picture" in _attribute(node, "class").split()]
        drawn = [node for node in pictures if browser.devtools("DOM.getBoxModel", nodeId=node["nodeId"])["model"]]
        exercises = example.report().exercises
        lanes = [each for each in exercises if each.result.runs and each.result.kind != "deploy"]
        assert len(drawn) == 1 + charts(example.report()) + len(lanes)
    finally:
        browser.scripts(allowed=True)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("children") or []:
        yield from _nodes(child)


def _names(node: dict[str, Any]) -> Iterator[str]:
    yield from (str(each["localName"]) for each in _nodes(node))


def _attribute(node: dict[str, Any], name: str) -> str:
    found = node.get("attributes") or []
    return dict(zip(found[::2], found[1::2], strict=True)).get(name, "")


def test_in_print_all_is_there_but_what_needs_a_screen(browser: Browser, pages: dict[str, Path]) -> None:
    browser.show(pages["example"])
    browser.settle()
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        shown = "return [...document.querySelectorAll(arguments[0])].map((each) => each.checkVisibility())"
        assert set(browser.run(shown, ".static")) == {True}
        assert set(browser.run(shown, ".interactive")) == {False}
        assert set(browser.run(shown, ".screen-only")) == {False}
    finally:
        browser.devtools("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("name", PAGES)
def test_a_pdf_is_printed(pages: dict[str, Path], name: str) -> None:
    content = printer.printed(pages[name].read_text())
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") > 3


def test_the_axe_that_judges_is_the_published_one() -> None:
    import hashlib

    digest = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"  # axe-core 4.14.1
    assert hashlib.sha256((Path(__file__).parent / "axe" / "axe.min.js").read_bytes()).hexdigest() == digest


def test_the_judge_would_find_something(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><title>x</title><img src='data:,'><p style='color:#ccc'>faint</p>")
    browser.show(bad)
    browser.run(AXE)
    found = browser.later(
        "const done = arguments[arguments.length - 1];"
        "axe.run().then((found) => done(found.violations.map((each) => each.id)))"
    )
    assert {"image-alt", "color-contrast", "html-has-lang"} <= set(found)
    with contextlib.suppress(AssertionError):
        browser.said()
