"""How the layers below the command line say what they are doing, without printing."""

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
