"""Progress in plain lines: for files, and for terminals that can show nothing else."""

import threading
import time
from datetime import datetime

import click

from labgen.cli.console import printable
from labgen.progress import Event


class PlainProgress:
    """Prints a line for every event, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._amounts = Amounts()
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        if not event.text:
            return
        seconds = time.monotonic() - self._start
        with self._lock:
            text = printable(self._amounts.words(event))
            try:
                click.echo(f"{seconds:6.1f}s  {f'{event.node}: ' if event.node else ''}{text}", err=True)
            except BrokenPipeError:
                raise
            except OSError:
                pass  # a full disk under a log is not a reason to stop


class Amounts:
    """Describes transfers in words: how many bytes have arrived, and how long the rest will take."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, str | None], datetime] = {}

    def words(self, event: Event) -> str:
        """The text of any event; for a transfer, with the bytes and the time left."""
        if event.total is None or event.done is None:
            return event.text
        began = self._began.setdefault((event.text, event.node), event.time)
        if event.done == 0:
            self._began[event.text, event.node] = event.time
            return event.text
        seconds = (event.time - began).total_seconds()
        left = max((event.total - event.done) * seconds / event.done, 0)
        return f"{event.text}: {event.done / 2**20:.0f} of {event.total / 2**20:.0f} MiB, {left:.0f} s left"
