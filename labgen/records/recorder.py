"""Listens to a command, and stores its events with the labs that it works on.

Events that cannot be stored are dropped: no reason to stop, nor to report anything but the command's own failure.
"""

import threading
from collections import deque
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from labgen.errors import LabgenError
from labgen.progress import Event
from labgen.records import events
from labgen.records.events import Entry

LONGEST = 2000  # characters of an event's text
WAITING = 200  # events of a lab that has no directory yet; the oldest are dropped first
BETWEEN_AMOUNTS = timedelta(seconds=10)


class Recorder:
    """The recorder of one command.

    :param command: without its arguments, as ``checkpoint save``. :param version: labgen's.
    """

    def __init__(self, command: str, version: str) -> None:
        self._command, self._version = command, version
        self._waiting: dict[str, deque[Entry]] = {}  # by the names of all labs that had an event
        self._amounts: dict[tuple[str | None, str | None], datetime] = {}
        self._lock = threading.Lock()
        self._has_ended = False

    def hear(self, event: Event) -> None:
        """Stores an event of a lab, at the latest when the lab has a directory.

        After Ctrl-C, threads may still send events; these come too late.
        """
        with self._lock:
            if event.lab and not self._has_ended and not self._is_passed_over(event):
                self._keep(event.lab, self._entry(event), begin=True)

    def end(self, exit_code: int) -> None:
        """Stores the command's result with the labs. A lab that has been destroyed by now is not created again."""
        with self._lock:
            self._has_ended = True
            for lab, waiting in self._waiting.items():
                ended = self._entry(Event(datetime.now().astimezone(), "ended", lab=lab))
                self._keep(lab, replace(ended, exit_code=exit_code), begin=bool(waiting))

    def _entry(self, event: Event) -> Entry:
        fields = {**asdict(event), "text": event.text[:LONGEST]}
        return Entry(**fields, command=self._command, version=self._version)

    def _is_passed_over(self, event: Event) -> bool:
        """Whether to skip an event: progress in bytes that comes too soon, or a lab that is opened again."""
        if event.state == "began" and not event.stage:
            return event.lab in self._waiting
        if not event.done:
            return False
        key = event.lab, event.node
        if key in self._amounts and event.time - self._amounts[key] < BETWEEN_AMOUNTS:
            return True
        self._amounts[key] = event.time
        return False

    def _keep(self, lab: str, entry: Entry, *, begin: bool) -> None:
        waiting = self._waiting.setdefault(lab, deque(maxlen=WAITING))
        waiting.append(entry)
        try:
            events.append(lab, waiting, begin=begin)
        except FileNotFoundError:
            return  # perhaps next time
        except (OSError, LabgenError):
            pass
        waiting.clear()
