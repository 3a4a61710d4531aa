"""``events``: what labgen has done with a lab, as recorded by its commands."""

from collections.abc import Iterator

from labgen.records import events, journals
from labgen.records.events import Entry


def history(name: str, *, follow: bool = False) -> Iterator[Entry]:
    """Oldest first. Takes no lock, and works even if the lab's journal is lost.

    :param follow: also wait for further events, until the lab is destroyed.
    :raises UsageError: there is no such lab. :raises OSError: from the file system.
    """
    journals.require_there(name)
    return events.follow(name) if follow else events.every(name)
