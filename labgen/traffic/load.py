"""A continuous load, sent by a process of its own: see :mod:`labgen.traffic.sender`."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from labgen.errors import LabgenError
from labgen.surroundings import environment
from labgen.traffic.measurement import Answer, Measurement

SENDER = Path(__file__).with_name("sender.py")
ANSWER_LIMIT = 5.0  # seconds; a connection whose first packet is lost twice is there after three
START_LIMIT = 20  # seconds for Python to start on a busy host
END_LIMIT = 30  # seconds for the last answers
# The headers of an answer that tell where it comes from. The stacks that come with labgen send the first two, load
# balancers the third.
HEADERS = {"node": "X-Node", "task": "X-Task", "backend": "X-Backend"}


@dataclass(frozen=True)
class Target:
    """Where requests are sent: a node's published port, or a load balancer's.

    :param node: its name. :param host: the name that is asked for; empty: the address.
    """

    node: str
    address: str
    port: int
    path: str = "/"
    host: str = ""

    @property
    def named(self) -> str:
        """What a request's header Host has to say."""
        return self.host or f"{self.address}:{self.port}"


class Load:
    """Requests to a service on a fixed schedule, from the beginning of the context to its end.

    Times are seconds since :attr:`began`, which is a time of :func:`time.monotonic`.
    """

    def __init__(self, targets: Sequence[Target], rate: float) -> None:
        """:param targets: get a request each, in turn. :param rate: requests per second, to all together."""
        self.targets, self.rate = tuple(targets), rate
        self.began = 0.0
        self._answers: list[Answer] = []
        self._errors: list[str] = []
        self._started = threading.Event()

    def __enter__(self) -> Self:
        """:raises LabgenError: the process does not start."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SENDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for labgen, which measures until all is put right
            env=environment(),
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()
        wanted = {
            "targets": [(each.address, each.port, each.path, each.named) for each in self.targets],
            "rate": self.rate,
            "limit": ANSWER_LIMIT,
            "headers": HEADERS,
        }
        self._put(json.dumps(wanted) + "\n")
        if not self._started.wait(START_LIMIT):
            self.end()
            raise self._failure("does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Sends no more requests, and waits for the last answers. Calling it again does nothing."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def now(self) -> float:
        """Seconds since the schedule began."""
        return time.monotonic() - self.began

    def measured(self) -> Measurement:
        """What became of the requests so far.

        :raises LabgenError: the process ended by itself: nothing is measured any more.
        """
        if self._process.poll():
            raise self._failure("failed")
        return Measurement(tuple(self._answers), tuple(target.node for target in self.targets), self.rate)

    def _put(self, line: str) -> None:
        assert self._process.stdin  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            self.end()
            raise self._failure("does not start") from error

    def _read(self) -> None:
        assert self._process.stdout  # noqa: S101 - a pipe
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if "began" in told:
                self.began = told["began"]
                self._started.set()
            else:
                self._answers.append(Answer(**told))

    def _read_errors(self) -> None:
        assert self._process.stderr  # noqa: S101 - a pipe
        self._errors.extend(self._process.stderr)

    def _failure(self, what: str) -> LabgenError:
        return LabgenError(f"the process that sends requests {what}", "".join(self._errors[-5:]))
