"""``events``: what labgen has done with a lab, as its commands have left it written."""

from collections.abc import Iterator

from labgen.records import events, journals
from labgen.records.events import Entry


def history(name: str, *, follow: bool = False) -> Iterator[Entry]:
    """Oldest first. Nothing is locked, and the lab's journal may be lost.

    :param follow: also what is yet to come, until the lab is gone.
    :raises UsageError: there is no such lab. :raises OSError: as from the file system.
    """
    journals.require_there(name)
    return events.follow(name) if follow else events.every(name)
