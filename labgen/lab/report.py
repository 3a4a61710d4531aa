"""``report``: what was tried in a lab, and what came out, as one file; from the records, also of a destroyed lab."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labgen.errors import UsageError
from labgen.records import archive, journals, results
from labgen.records.archive import Archived
from labgen.records.journals import Journal
from labgen.report import notes
from labgen.report.content import Heading, Records, compiled
from labgen.report.formats import FORMATS
from labgen.suggestions import near


@dataclass(frozen=True)
class Known:
    """A lab of which there can be a report. :param destroyed: when, as ``--destroyed`` takes it; empty: it exists."""

    lab: str
    destroyed: str
    records: int


def report(name: str, form: str, heading: Heading, *, about: Path | None = None, destroyed: str = "") -> bytes:
    """:param form: one of :data:`FORMATS`. :param about: the file with the user's notes.

    :param destroyed: which of several destroyed labs of that name; empty: the one that exists, or else the newest.
    :raises UsageError: there is no such lab, nothing was tried in it, or the notes do not fit.
    :raises HostError: a PDF is wanted, and there is no browser.
    """
    records = find(name, destroyed)
    written = notes.read(about) if about else None
    return FORMATS[form](compiled(records, heading, written), about.parent if about else Path())


def listed() -> list[Known]:
    """All labs with records, those that exist first."""
    present = [Known(name, "", len(results.every(name))) for name in journals.names()]
    former = [Known(each.lab, each.moment, len(each.results())) for each in archive.every()]
    return [each for each in (*present, *former) if each.records]


def find(name: str, destroyed: str = "") -> Records:
    """:raises UsageError: there are no records."""
    former = archive.of(name)
    if destroyed:
        return _of(_chosen(name, former, destroyed))
    if name in journals.names():
        found = results.every(name)
        if not found:
            raise _nothing_tried(name, former)
        return Records(name, tuple(found), _journal(name))
    if not former:
        known = dict.fromkeys([*journals.names(), *archive.names()])
        raise UsageError(
            f"there is no lab named {name!r}, and no records of one that was destroyed",
            near(name, list(known), "labs") if known else "",
            "'labgen report --list' shows of which labs there are records.",
        )
    return _of(former[0])


def _of(chosen: Archived) -> Records:
    found = chosen.results()
    if not found:
        raise UsageError(f"the records of {chosen.lab!r}, destroyed {chosen.moment}, cannot be read")
    return Records(chosen.lab, tuple(found), chosen.journal(), _in_words(chosen.moment))


def _chosen(name: str, former: list[Archived], moment: str) -> Archived:
    """:raises UsageError: no lab of that name was destroyed then."""
    for each in former:
        if each.moment == moment:
            return each
    brief = f"there are no records of a lab {name!r} that was destroyed {moment}"
    moments = ", ".join(each.moment for each in former)
    raise UsageError(brief, f"destroyed: {moments}" if moments else "", "'labgen report --list' shows what there is.")


def _nothing_tried(name: str, former: list[Archived]) -> UsageError:
    first = f"First: labgen deploy {name} hello; labgen drill {name} power-off"
    if former:
        first += f"\nOf a former lab of that name: labgen report {name} --destroyed {former[0].moment}"
    return UsageError(f"there is nothing to report: no drill, deploy or rebalance was done in {name!r}", "", first)


def _journal(name: str) -> Journal | None:
    with contextlib.suppress(journals.JournalLost):  # the results speak for themselves
        return journals.load(name)
    return None


def _in_words(moment: str) -> str:
    with contextlib.suppress(ValueError):
        return str(datetime.strptime(moment[:15], archive.MOMENT))
    return moment
