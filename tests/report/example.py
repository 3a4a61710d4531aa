"""An example of a lab's records, and the same with every text replaced by a hostile one.

The steps, happenings, numbers and series are as they were recorded on three emulated machines, by a labgen that did
not record more yet. Where each task ran follows from the happenings; the settings are those of the stack ``hello``.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from labgen.records import journals, results
from labgen.records.results import Result
from labgen.report import notes
from labgen.report.content import Heading, Records, Report, compiled

DIRECTORY = Path(__file__).parent / "example"
NOTES = DIRECTORY / "notes.md"
LAB = "three-node-btrfs"
HEADING = Heading("What users notice", "Ada Lovelace", "Distributed systems, exercise 4", "2026-11-27")
# Ends what it is in, runs what it can, reorders and hides what is around it.
# Of fields with few possible values, which labgen or Docker's API has checked.
CHECKED = {
    "kind",
    "began",
    "ended",
    "verdict",
    "mode",
    "health_check",
    "condition",
    "order",
    "on_failure",
    "role",
    "driver",
}
HOSTILE = (
    "</script><script>window.broken = 1</script>"
    '"><img src=x onerror="window.broken = 2">'
    "' onmouseover='window.broken = 3' <svg onload=window.broken=4> ]]> --> {{ 7 * 7 }} {% raw %} ${x} `x` | \\ "
    "javascript:window.broken=5 \x1b[31mred\x1b]0;title\x07 \x00\x08 \u202egnp.exe\u2066 \u2028 \ud800 "
    "<!-- </title></style></textarea></pre></details> <meta http-equiv=refresh content=0> " + "long" * 500
)


def records() -> Records:
    return Records(LAB, tuple(results.within(DIRECTORY / "results")), journals.kept(DIRECTORY / "lab.json"))


def report(*, with_notes: bool = True) -> Report:
    return compiled(records(), HEADING, notes.read(NOTES) if with_notes else None)


def hostile() -> Report:
    """Everything that a container, a user or a file can put into a record."""
    found = records()
    assert found.journal
    return compiled(
        Records(HOSTILE, tuple(map(_hostile, found.results)), _with(found.journal, _replaced)),
        Heading(HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    )


def _hostile(result: Result) -> Result:
    return _with(result, _replaced)  # type: ignore[no-any-return]


def _replaced(text: str) -> str:
    """Names stay different, so that tables and pictures have as many rows as before."""
    return f"{text}{HOSTILE}" if text else ""


def _with(value: Any, change: Callable[[str], str]) -> Any:
    """A copy in which every text is changed, also names in mappings."""
    if isinstance(value, str):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value) if each.name not in CHECKED]
        return replace(value, **{name: _with(getattr(value, name), change) for name in names})
    if isinstance(value, dict):
        # Percentiles are labgen's own words.
        return {key if key.startswith("p") else change(key): _with(each, change) for key, each in value.items()}
    return tuple(_with(each, change) for each in value) if isinstance(value, tuple) else value
