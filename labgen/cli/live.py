"""Progress on a terminal: a spinner for the lab and one for each node."""

import threading
from typing import Self

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from labgen.cli.console import printable

LAB = ""


class LiveProgress:
    """A context manager; the lines disappear at its end, notes stay."""

    def __init__(self) -> None:
        self._display = RichProgress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.fields[node]}", style="bold", markup=False),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def step(self, text: str, node: str | None = None) -> None:
        self._display.update(self._task(node), description=printable(text), total=None)

    def done(self, text: str, node: str | None = None) -> None:
        self._display.update(self._task(node), description=printable(text), total=1, completed=1)

    def note(self, text: str) -> None:
        self._display.console.print(printable(text), markup=False, highlight=False)

    def _task(self, node: str | None) -> TaskID:
        name = node or LAB
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._display.add_task("", node=name, total=None)
            return self._tasks[name]
