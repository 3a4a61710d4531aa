"""The standard streams, which the caller may have closed, or led to where nothing can be written."""

import os
import sys
from typing import TextIO

FAILED = 1  # the exit code where a command has done its work, and could not say so


def complete() -> None:
    """Lets streams that are closed lead nowhere.

    The next file that is opened would have a closed one's number, and get what is meant for it.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: the one that was closed
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def flushed(status: int) -> int:
    """:return: the exit code, which is another one if what the command printed went nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            abandon(stream)
            status = status or FAILED
    return status


def abandon(stream: TextIO) -> None:
    """Python would complain at its end that it cannot write the rest; of a closed stream there is none."""
    if not stream.closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
