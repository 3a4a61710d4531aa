"""The formats of a report. A new one is a function, and its line in ``FORMATS``."""

from collections.abc import Callable, Mapping
from pathlib import Path

from labgen.report import browser
from labgen.report.content import Report
from labgen.report.html import html
from labgen.report.markdown import markdown

# The report, and the directory of the notes, for their images.
Renderer = Callable[[Report, Path], bytes]


def _html(report: Report, directory: Path) -> bytes:
    return html(report, directory).encode()


def _markdown(report: Report, directory: Path) -> bytes:
    return markdown(report, directory).encode()


def _pdf(report: Report, directory: Path) -> bytes:
    browser.find()  # before any work
    return browser.printed(html(report, directory))


# By the suffix of their files.
FORMATS: Mapping[str, Renderer] = {"html": _html, "md": _markdown, "pdf": _pdf}
