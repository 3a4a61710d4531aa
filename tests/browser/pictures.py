"""Takes the pictures in docs/ of the example report: ``python -m tests.browser.pictures DIRECTORY``."""

import sys
import tempfile
from pathlib import Path

from labgen.report.html import html
from labgen.report.pictures import files
from tests.browser.browser import Browser, missing, opened
from tests.report import example

DRILL = "partition"


def take(browser: Browser, directory: Path, place: Path) -> None:
    """:param directory: of the pictures. :param place: for the pages."""
    report = example.report()
    page, graph = place / "report.html", place / "graph.svg"
    page.write_text(html(report, example.DIRECTORY))
    graph.write_text(files.topology(report.topology))
    anchor = next(each.anchor for each in report.exercises if each.keys[0] == DRILL)
    browser.scheme("light")
    browser.size(1000, 1180)
    browser.show(page)
    browser.settle()
    (directory / "report.png").write_bytes(browser.picture())
    (directory / "report-drill.png").write_bytes(browser.picture(f"#{anchor}", most=1500))
    browser.size(400, 860)
    browser.scheme("dark")
    browser.run("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", anchor)
    browser.settle()
    (directory / "report-phone.png").write_bytes(browser.picture())
    browser.scheme("light")
    browser.size(780, 400)
    browser.show(graph)
    (directory / "graph.png").write_bytes(browser.picture("svg"))


def main() -> None:
    if reason := missing():
        sys.exit(reason)
    directory = Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    with opened() as browser, tempfile.TemporaryDirectory() as place:
        take(browser, directory, Path(place))


if __name__ == "__main__":
    main()
