"""How the layers below the command line say what they are doing, without printing."""

import time
from typing import Protocol


class Progress(Protocol):
    """Receives progress. Calls may come from several threads at once."""

    def step(self, text: str, node: str | None = None) -> None:
        """What is being done now, for one node or for the whole lab."""

    def done(self, text: str, node: str | None = None) -> None:
        """The node, or the lab, has reached its goal."""

    def note(self, text: str) -> None:
        """A line that stays on the screen: something the user should know."""


class Silent:
    """Nobody is looking."""

    def step(self, text: str, node: str | None = None) -> None:
        pass

    def done(self, text: str, node: str | None = None) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Amount:
    """Bytes on their way: says how many there are and how long the rest will take, once a second at most.

    :param total: in bytes.
    """

    INTERVAL = 1.0  # seconds

    def __init__(self, text: str, total: int, progress: Progress, node: str | None = None) -> None:
        self._text, self._total, self._progress, self._node = text, total, progress, node
        self._moved = 0
        self._began = self._told = time.monotonic()
        progress.step(text, node)

    def more(self, count: int) -> None:
        """:param count: further bytes that have arrived."""
        self._moved += count
        now = time.monotonic()
        if now - self._told < self.INTERVAL:
            return
        self._told = now
        left = (self._total - self._moved) * (now - self._began) / max(self._moved, 1)
        megabytes = f"{self._moved / 2**20:.0f} of {self._total / 2**20:.0f} MiB"
        self._progress.step(f"{self._text}: {megabytes}, {max(left, 0):.0f} s left", self._node)
