"""What a check has to say for itself."""

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
    """One machine, as a single login found it.

    :param clock: the machine's, in seconds since the epoch.
    :param asked: this host's clock before the machine was asked for its own, and when the answer was there.
    :param said: the lines that each check's script printed, by the check's name.
    :param engine: what Docker said of itself, or why it said nothing; None: it was not asked.
    """

    lab: Lab
    node: Node
    clock: float
    asked: tuple[float, float]
    said: Mapping[str, Sequence[str]]
    engine: EngineInfo | ClusterError | None = None

    def command(self, command: str) -> str:
        """What the user enters here to run a command in the machine."""
        return f"labgen exec {self.lab.name} --node {self.node.name} -- {command}"


@dataclass(frozen=True)
class Verdict:
    """:param evidence: a clause without a full stop. :param fix: a command or a sentence; empty where all is well."""

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
    """One thing that can be wrong with a machine that is up.

    A new check is a sibling module with a subclass and its line in :data:`labgen.health.CHECKS`.

    ``script`` is POSIX shell that runs as root in the machine, in a subshell of the one script of all checks; its
    arguments are what every other node should answer at, as ADDRESS:PORT. Each process in it costs a quarter of a
    second under emulation. ``asks_docker`` has the engine asked for :attr:`Seen.engine`.
    """

    name: str
    script: str = ""
    asks_docker: bool = False

    @abstractmethod
    def judge(self, seen: Seen) -> Verdict | None:
        """None: there is nothing to judge. :raises ValueError: the script did not say what it should."""
