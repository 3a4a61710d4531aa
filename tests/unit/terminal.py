"""A program on a real terminal (a pty), whose screen a terminal emulator draws."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

LIMIT = 30.0  # seconds within which anything must appear on the screen
PROGRAMS = str(Path(sys.executable).parent)  # where "labgen" is


class Terminal:
    """:param columns: of the screen."""

    def __init__(self, columns: int, rows: int, descriptor: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def read(self, seconds: float) -> bool:
        """Draws the output that comes within that time. :return: whether the program still has the terminal."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._descriptor], [], [], left)[0]:
                break
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # Linux's way to report that nobody has the other end any more
                return False
            self.raw += data
            self._stream.feed(data)
        return True

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + LIMIT
        while text not in "\n".join(self.lines()):
            lives = self.read(0.1)
            shown = "\n".join(self.lines())
            assert text in shown or (lives and time.monotonic() < deadline), f"no {text!r} on the screen:\n{shown}"

    def wait_for_secret_question(self, text: str) -> None:
        """Waits until the program has asked and listens: anything typed before that is dropped."""
        self.wait_for(text)
        deadline = time.monotonic() + LIMIT
        while self._echoes():
            self.read(0.01)
            assert time.monotonic() < deadline, f"nobody reads the answer to {text!r}"

    def _echoes(self) -> bool:
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def wait_for_end(self) -> None:
        deadline = time.monotonic() + LIMIT
        while self.read(0.1):
            assert time.monotonic() < deadline, "\n".join(self.lines())


@contextmanager
def on_terminal(
    command: Sequence[str],
    *,
    columns: int = 80,
    rows: int = 24,
    echo: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[Terminal, "subprocess.Popen[bytes]"]]:
    """Runs the program in a separate session, with the terminal as stdin, stdout and stderr.

    :param echo: whether the terminal itself shows typed text, as it does unless a program disables that.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    if not echo:
        settings = termios.tcgetattr(theirs)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
    inherited = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    defaults = {"TERM": "xterm-256color", "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, **defaults, **(environment or {})},
        preexec_fn=_take_terminal,  # noqa: PLW1509 - the tests have no threads that hold locks here
    )
    os.close(theirs)
    try:
        yield Terminal(columns, rows, ours), process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
