"""The standard streams, which the caller may have closed or redirected to a file that cannot be written."""

import os
import sys
from typing import TextIO

FAILED = 1  # the exit code if a command did its work but could not report it


def complete() -> None:
    """Redirects closed streams to /dev/null.

    Otherwise the next file to be opened would get a closed stream's number, and the data meant for that stream.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is the closed stream's
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def flushed(status: int) -> int:
    """Flushes the output. :return: the exit code, which changes from success to failure if output was lost."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            abandon(stream)
            status = status or FAILED
    return status


def abandon(stream: TextIO) -> None:
    """Discards a stream's unwritten data, which Python would try to write at exit; a closed stream has none."""
    if not stream.closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
