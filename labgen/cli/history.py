"""Records a command's events in the histories of its labs, up to the command's exit code."""

from typing import TYPE_CHECKING

from labgen.cli import fault

if TYPE_CHECKING:
    from labgen.records.recorder import Recorder


class History:
    """The history of one run of labgen: click passes it on as the context's object."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None

    def recorder(self, command: str) -> "Recorder":
        """The recorder of this run. :param command: without its arguments."""
        if self._recorder is None:
            from labgen.records.recorder import Recorder

            self._recorder = Recorder(command, fault.version_of_ours())
        return self._recorder

    def end(self, exit_code: int) -> None:
        if self._recorder:
            self._recorder.end(exit_code)
