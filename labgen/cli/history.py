"""What a command has told of labs, kept with them until the command has its exit code."""

from typing import TYPE_CHECKING

from labgen.cli import fault

if TYPE_CHECKING:
    from labgen.records.recorder import Recorder


class History:
    """Of one run of labgen: click passes it on as its context's object."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None

    def recorder(self, command: str) -> "Recorder":
        """:param command: without its arguments."""
        if self._recorder is None:
            from labgen.records.recorder import Recorder

            self._recorder = Recorder(command, fault.version_of_ours())
        return self._recorder

    def end(self, exit_code: int) -> None:
        if self._recorder:
            self._recorder.end(exit_code)
