"""How the layers below the command line report their progress: as events, for any listener."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# "began": a command's work on a lab, or a stage of it, begins. "step": in progress. "done": a node, or the lab, has
# reached its goal. "note": something the user should know. "ended": the command has ended.
State = Literal["began", "step", "done", "note", "ended"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    :param time: local, with its offset. :param stage: a name for programs, stable even if the text changes.
    :param text: for users; empty for events that are only for programs. :param lab: None: it is about the host.
    :param node: None: it is about the whole lab. :param done: bytes, of ``total``.
    """

    time: datetime
    state: State
    stage: str = ""
    text: str = ""
    lab: str | None = None
    node: str | None = None
    done: int | None = None
    total: int | None = None


Listener = Callable[[Event], None]


class Progress:
    """Tells listeners what is being done.

    :param listeners: called from several threads at once. :param lab: the lab that all events are about.
    :param stage: the stage of events that do not specify one.
    """

    def __init__(self, *listeners: Listener, lab: str | None = None, stage: str = "") -> None:
        self._listeners, self._lab, self._stage = listeners, lab, stage

    def of(self, lab: str) -> "Progress":
        """Progress of work on a lab, which begins now."""
        return Progress(*self._listeners, lab=lab)._begun()

    def at(self, stage: str) -> "Progress":
        """Progress of a stage of that work, which begins now."""
        return Progress(*self._listeners, lab=self._lab, stage=stage)._begun()

    def step(self, text: str, node: str | None = None, *, stage: str = "") -> None:
        """Reports what is being done now, for one node or for the whole lab."""
        self._tell("step", text, node, stage)

    def moved(self, text: str, done: int, total: int, node: str | None = None, *, stage: str = "") -> None:
        """Reports the same for a transfer: how many bytes of the total have arrived."""
        self._tell("step", text, node, stage, done, total)

    def done(self, text: str, node: str | None = None, *, stage: str = "") -> None:
        """Reports that the node, or the lab, has reached its goal."""
        self._tell("done", text, node, stage)

    def note(self, text: str) -> None:
        """Reports something the user should know, in a line that is kept on the screen."""
        self._tell("note", text)

    def _begun(self) -> "Progress":
        self._tell("began")
        return self

    def _tell(  # noqa: PLR0917 - the fields of an event
        self,
        state: State,
        text: str = "",
        node: str | None = None,
        stage: str = "",
        done: int | None = None,
        total: int | None = None,
    ) -> None:
        now = datetime.now().astimezone()
        event = Event(now, state, stage or self._stage, text, self._lab, node, done, total)
        for listener in self._listeners:
            listener(event)


class Silent(Progress):
    """Progress without listeners."""


class Amount:
    """A transfer: reports how many bytes have arrived, at most once a second.

    :param total: in bytes.
    """

    INTERVAL = 1.0  # seconds

    def __init__(self, text: str, total: int, progress: Progress, node: str | None = None, *, stage: str) -> None:
        self._text, self._total, self._progress, self._node, self._stage = text, total, progress, node, stage
        self._moved = 0
        self._told = time.monotonic()
        self._tell()

    def more(self, count: int) -> None:
        """:param count: further bytes that have arrived."""
        self._moved += count
        now = time.monotonic()
        if now - self._told >= self.INTERVAL:
            self._told = now
            self._tell()

    def _tell(self) -> None:
        self._progress.moved(self._text, self._moved, self._total, self._node, stage=self._stage)
