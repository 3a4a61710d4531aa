"""A lab that is only looked at. Kept apart from :mod:`labgen.machines.opened`, which loads what changes a lab."""

import contextlib
from collections.abc import Iterator

from labgen.host import LOCAL, Host
from labgen.hypervisor import Hypervisor
from labgen.records import journals
from labgen.records.journals import Journal


@contextlib.contextmanager
def seen(name: str) -> Iterator[tuple[Journal, Hypervisor]]:
    """For verbs that only read: nothing is locked, and nothing is repaired.

    :raises UsageError: there is no such lab. :raises JournalLost: its journal is lost.
    :raises HostError: libvirt does not answer.
    """
    journal = journals.load(name)
    with host_of(journal).connect() as hypervisor:
        yield journal, hypervisor


def host_of(_journal: Journal) -> Host:
    """The host that a lab is on."""
    return LOCAL
