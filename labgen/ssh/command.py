"""A command that runs in a machine: its input, its output, its end."""

import contextlib
import threading
import time
from collections.abc import Callable

import paramiko

from labgen.errors import GuestError

Sink = Callable[[bytes], None]

CHUNK = 65536  # bytes
LOOK = 0.5  # seconds between two checks whether the command has ended
# The exit status overtakes the last output. A process that the command left behind may keep its output open for ever,
# so that the end never comes: only this much is still read.
LATE = 2  # seconds of waiting
LATE_BYTES = 8 * 2**20  # more than fits into a pipe, the server's buffer and ours together


class Command:
    """A running command; the caller that opened its channel must close it.

    :param node: the machine's name. :param program: what runs there, for errors.
    """

    def __init__(self, node: str, program: str, channel: paramiko.Channel) -> None:
        self._node, self._program, self._channel = node, program, channel
        self._heard = time.monotonic()
        channel.settimeout(LOOK)

    def feed(self, data: bytes) -> bool:
        """Writes to its standard input, as fast as it reads. :return: whether it still accepts input."""
        try:
            while data:
                try:
                    sent = self._channel.send(data)
                except TimeoutError:
                    continue
                if not sent:
                    return False
                data = data[sent:]
        except (OSError, EOFError):
            return False
        return True

    def end_input(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # it has already ended
            self._channel.shutdown_write()

    def feed_all(self, data: bytes) -> None:
        if self.feed(data):
            self.end_input()

    def wait(self, output: Sink, errors: Sink, limit: float | None = None) -> int:
        """Passes its output on, as it arrives, until it ends.

        :param errors: called in a separate thread: a command may fill one stream while the other is read.
        :param limit: seconds that it may be silent; None: for ever.
        :return: its exit status; 128 and the signal's number if a signal ended it.
        :raises GuestError: the connection broke, or the limit passed. Any exception from a sink ends the wait, too.
        """
        failures: list[BaseException] = []

        def read_errors() -> None:
            try:
                self._read(self._channel.recv_stderr, errors)
            except BaseException as error:  # raised again below
                failures.append(error)
                self._channel.close()

        reader = threading.Thread(target=read_errors, daemon=True)
        reader.start()
        self._read(self._channel.recv, output, limit)
        while not self._channel.status_event.wait(LOOK):  # it may have closed its output long before it ends
            self._check(limit)
        reader.join()
        if failures:
            raise failures[0]
        if self._channel.exit_status < 0:
            raise self._lost()
        return self._channel.exit_status

    def _read(self, receive: Callable[[int], bytes], sink: Sink, limit: float | None = None) -> None:
        late, late_bytes = 0.0, 0
        while late < LATE and late_bytes < LATE_BYTES:
            began, ended = time.monotonic(), self._channel.status_event.is_set()
            try:
                chunk = receive(CHUNK)
            except TimeoutError:
                chunk = None
            if chunk == b"":
                return
            if ended:
                late += time.monotonic() - began
                late_bytes += len(chunk or b"")
            if chunk:
                sink(chunk)
                self._heard = time.monotonic()
            elif not ended:
                self._check(limit)

    def _check(self, limit: float | None) -> None:
        if limit is not None and time.monotonic() - self._heard > limit:
            raise GuestError(f"{self._node}: {self._program!r} hangs", f"It printed nothing for {limit:.0f} s.")

    def _lost(self) -> GuestError:
        transport = self._channel.get_transport()
        reason = None if transport.is_active() else transport.get_exception()
        return GuestError(
            f"{self._node}: the connection broke while {self._program!r} was running",
            str(reason or "") or "The machine closed it, or stopped answering.",
        )


class Lines:
    """Collects output and passes each line on as soon as it is complete.

    :param on_line: called with each line, without its end. :param keep: for :meth:`text`.
    """

    def __init__(self, on_line: Callable[[str], None] | None, *, keep: bool = True) -> None:
        self._on_line = on_line
        self._keep = keep
        self._lines: list[bytes] = []
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._hand_on(line)
            if self._keep:
                self._lines.append(line + b"\n")

    def text(self) -> str:
        """The whole output; a last line without a line end counts."""
        self._lines.append(self.end())
        return b"".join(self._lines).decode(errors="replace")

    def end(self) -> bytes:
        """Passes a last line without a line end on, and returns it."""
        rest, self._rest = self._rest, b""
        if rest:
            self._hand_on(rest)
        return rest

    def _hand_on(self, line: bytes) -> None:
        if self._on_line:
            self._on_line(line.decode(errors="replace"))
