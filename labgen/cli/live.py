"""Progress on a terminal: a line for the lab with the elapsed time, and a line for each node."""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import DownloadColumn, Task, TimeRemainingColumn
from rich.progress import Progress as Tasks
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from labgen.cli.console import plain, printable
from labgen.progress import Event

DONE, FAILED = "✓", "✗"


@dataclass
class Row:
    """What a node, or the lab, is doing.

    :param ended: when it reached its goal; None: it is in progress, perhaps again.
    :param bytes: the current transfer; None if there is none.
    """

    name: str
    text: str = ""
    mark: str = ""
    bytes: Task | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def goes_on(self, text: str) -> None:
        if text != self.text:
            self.bytes = None
        self.text, self.ended = text, None

    def end(self, mark: str) -> None:
        self.mark = mark
        self.ended = time.monotonic()

    @property
    def clock(self) -> str:
        seconds = int((self.ended or time.monotonic()) - self.began)
        return f"{seconds // 60}:{seconds % 60:02}"


class LiveProgress:
    """A context manager; at its end the lines show the results and, like the notes, are kept on the screen."""

    def __init__(self) -> None:
        self._lab = Row("")
        self._nodes: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._tasks = Tasks(auto_refresh=False)  # counts bytes for the columns below; is never shown itself
        self._size, self._left = DownloadColumn(binary_units=True), TimeRemainingColumn()
        self._spinner = Spinner("dots")
        self._console = Console(stderr=True, no_color=plain(), markup=False, highlight=False)
        # stdout is for results, even if it is a file and only stderr is a terminal.
        self._live = Live(console=self._console, get_renderable=self._draw, redirect_stdout=False)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            for row in (self._lab, *self._nodes.values()):
                if row.ended is None:
                    row.end(FAILED if kind else DONE)
        self._live.stop()

    def hear(self, event: Event) -> None:
        text = printable(event.text)
        if event.state == "note":
            self._console.print(text)
        elif text:
            with self._lock:
                row = self._row(event.node)
                row.goes_on(text)
                if event.total is not None:
                    self._count(row, event.done or 0, event.total)
                if event.state == "done" and event.node:
                    row.end(DONE)

    def _count(self, row: Row, done: int, total: int) -> None:
        if row.bytes is None or done == 0:
            self._tasks.add_task("", total=total)
            row.bytes = self._tasks.tasks[-1]
        self._tasks.update(row.bytes.id, completed=done)

    def _row(self, node: str | None) -> Row:
        return self._nodes.setdefault(node, Row(node)) if node else self._lab

    def _draw(self) -> Group:
        """Draws the lab first, so that its time is visible however many nodes there are."""
        width, height = self._console.size
        with self._lock:
            room = height - 3
            shown = list(self._nodes.values())
            if hidden := max(len(shown) - room, 0):
                shown = sorted(shown, key=lambda row: row.ended is not None)[:room]
            lab, nodes = _grid(), _grid(min(max((len(row.name) for row in shown), default=0), width // 2))
            lab.add_row(self._mark(self._lab), self._text(self._lab), f"total {self._lab.clock}")
            for row in shown:
                nodes.add_row(self._mark(row), clipped(row.name, width // 2), self._text(row), row.clock)
        return Group(lab, nodes, *([f"  and {hidden} more"] if hidden else []))

    def _text(self, row: Row) -> RenderableType:
        if row.bytes is None or not row.bytes.completed:
            return row.text
        return Text.assemble(
            row.text, ": ", self._size.render(row.bytes), ", ", self._left.render(row.bytes), " left"
        )

    def _mark(self, row: Row) -> RenderableType:
        return self._spinner.render(time.monotonic()) if row.ended is None else row.mark


def _grid(names: int = 0) -> Table:
    """Columns for a mark, a name if there are any, the current step and the time. :param names: the names' width."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    if names:
        table.add_column(width=names, style="" if plain() else "bold", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    return table


def clipped(name: str, width: int) -> str:
    """Cuts the middle out of a name that is too long: nodes of the same kind differ at the end."""
    if len(name) <= width:
        return name
    tail = width * 2 // 3
    return f"{name[: width - tail - 1]}…{name[-tail:]}"
