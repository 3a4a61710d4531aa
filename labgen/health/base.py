"""The interface of a check."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from labgen.engine import EngineInfo
from labgen.errors import ClusterError
from labgen.model import Lab, Node

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Seen:
    """The state of one machine, found in a single login.

    :param clock: the machine's, in seconds since the epoch.
    :param asked: this host's clock before the machine was asked for its time, and when the answer had arrived.
    :param said: the lines that each check's script printed, by the check's name.
    :param engine: Docker's report about itself, or the reason why there is none; None: it was not asked.
    """

    lab: Lab
    node: Node
    clock: float
    asked: tuple[float, float]
    said: Mapping[str, Sequence[str]]
    engine: EngineInfo | ClusterError | None = None

    def command(self, command: str) -> str:
        """The labgen command with which the user runs a command in the machine."""
        return f"labgen exec {self.lab.name} --node {self.node.name} -- {command}"


@dataclass(frozen=True)
class Verdict:
    """:param evidence: a clause without a full stop. :param fix: a command or a sentence; empty if all is well."""

    status: Status
    evidence: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """A verdict on one machine. :param check: the check's name."""

    node: str
    check: str
    status: Status
    evidence: str
    fix: str = ""


class Check(ABC):
    """Detects one kind of problem in a running machine.

    A new check is a sibling module with a subclass, and a line in :data:`labgen.health.CHECKS`.

    ``script`` is POSIX shell that runs as root in the machine, in a subshell of the one script of all checks; its
    arguments are the places at which the other nodes should answer, as ADDRESS:PORT. Each process in it costs a
    quarter of a second under emulation. ``asks_docker`` means that the check needs :attr:`Seen.engine`.
    """

    name: str
    script: str = ""
    asks_docker: bool = False

    @abstractmethod
    def judge(self, seen: Seen) -> Verdict | None:
        """Judges a machine's state; None: there is nothing to judge. :raises ValueError: unexpected script output."""
