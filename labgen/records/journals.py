"""The journal of one lab: its plan, the stage it has reached, and the facts found in its machines.

Written after every stage, atomically. It tells what to look for; whether that exists, only the host can tell.
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from labgen import paths, turns
from labgen.errors import LabgenError, UsageError
from labgen.model import Lab, NodeFacts
from labgen.records import data_home
from labgen.records.record import Content, Kind
from labgen.suggestions import near

# In this order. A lab is complete once it has been verified.
Stage = Literal["planned", "rendered", "booted", "provisioned", "clustered", "verified"]


class BusyError(LabgenError):
    """Another process is changing the lab."""


class JournalLost(LabgenError):
    """A lab's journal is missing, or cannot be read."""


@dataclass(frozen=True)
class Origin:
    """A lab that was imported, until it has run here once.

    :param readdressed: its disks contain other addresses. :param renew: its secrets are the sender's.
    :param memory: ``kept``: the machines' memory was included; ``taken``: and they have begun to resume from it.
    """

    readdressed: bool
    renew: bool
    memory: Literal["", "kept", "taken"] = ""


@dataclass(frozen=True)
class Request:
    """The request to ``create``, so that it can be repeated from anywhere.

    :param profile: a shipped profile's name, or a file's absolute path. :param overrides: as given to ``--set``.
    """

    profile: str
    overrides: tuple[str, ...] = ()
    cold: bool = False

    def command(self, name: str) -> str:
        """:param name: the lab's."""
        settings = [word for override in self.overrides for word in ("--set", override)]
        cold = ["--cold"] if self.cold else []
        return shlex.join(["labgen", "create", self.profile, "--name", name, *settings, *cold])


@dataclass(frozen=True)
class Journal:
    """:param failure: one sentence; empty while nothing has failed. :param facts: by node name.

    :param rebuilding: the nodes whose rebuild has begun: they have no data yet.
    :param request: None: the lab was imported, or created by a labgen version that did not record it.
    """

    lab: Lab
    stage: Stage = "planned"
    failure: str = ""
    facts: Mapping[str, NodeFacts] = field(default_factory=dict)
    origin: Origin | None = None
    rebuilding: frozenset[str] = frozenset()
    request: Request | None = None

    @property
    def complete(self) -> bool:
        return self.stage == "verified"

    @property
    def again(self) -> str:
        """The command that resumes a lab that is not complete."""
        if self.request:
            return self.request.command(self.lab.name)
        if self.stage == "planned":  # even its profile is missing
            return Request(self.lab.profile).command(self.lab.name)
        return f"labgen start {self.lab.name}"

    def reached(self, stage: Stage) -> "Journal":
        return replace(self, stage=stage, failure="")

    def failed(self, why: str) -> "Journal":
        return replace(self, failure=why)


def _without_pool(content: Content) -> Content:
    """In schema 1, a lab had the network that its orchestrator uses in the machines; now the orchestrator has it."""
    if isinstance(lab := content.get("lab"), dict):  # otherwise it is damaged, which is reported later
        lab.pop("swarm_pool", None)
    return content


def _with_kinds(content: Content) -> Content:
    """In schema 2, every node was for the cluster, and had one disk in addition to its root disk, for Docker."""
    lab: Content = content.get("lab") or {}
    for node in lab["nodes"]:
        if {"serial", "storage_gib"} <= node.keys():
            disk = {"name": "docker", "serial": node.pop("serial"), "gib": node.pop("storage_gib")}
            node["disks"] = [{**disk, "holds": "Docker's images and volumes"}]
            node["is_member"] = lab.get("orchestrator") == "swarm"
            node["kind"] = "swarm" if node["is_member"] else "docker"
    return content


_KIND = Kind(
    Journal, (_without_pool, _with_kinds), later=("rebuilding", "request", "lab.registry", "lab.nodes.balancer")
)


def save(journal: Journal) -> None:
    _KIND.save(paths.lab(journal.lab.name) / paths.STATE, journal)


def load(name: str) -> Journal:
    """:raises UsageError: there is no such lab. :raises JournalLost: its journal cannot be read.

    :raises LabgenError: a newer labgen wrote it.
    """
    require_there(name)
    path = paths.lab(name) / paths.STATE
    try:
        journal = _KIND.load(path)
        IPv4Network(journal.lab.network.subnet)
        if journal.lab.name != name:
            raise ValueError(f"it is the journal of {journal.lab.name!r}")
        return journal
    except PermissionError:
        raise  # nothing is lost
    except (ValueError, OSError) as error:
        raise JournalLost(
            f"the journal of {name!r} is lost or damaged",
            f"{path}: {error}",
            f"'labgen start {name}' writes it again if the lab's machines exist; "
            f"'labgen destroy {name}' removes everything.",
        ) from error


def keep(journal: Journal, path: Path) -> None:
    """Saves a copy, for reports after the lab is destroyed. :raises OSError: from the file system."""
    _KIND.save(path, journal)


def kept(path: Path) -> Journal:
    """A copy that :func:`keep` has saved. :raises Damaged: it is not one. :raises OSError: from the file system.

    :raises LabgenError: a newer labgen wrote it.
    """
    return _KIND.load(path)


def require_there(name: str) -> None:
    """:raises UsageError: there is no lab of that name, with or without a journal."""
    if name not in names():  # also refuses anything that would lead out of the labs' directory
        raise _unknown(name)


def load_finished(name: str) -> Journal:
    """:raises UsageError: there is no such lab, or it has not run here. :raises LabgenError: as :func:`load`."""
    journal = load(name)
    require_finished(journal)
    return journal


def require_finished(journal: Journal) -> None:
    """:raises UsageError: the lab has not run here, so that its machines may differ from its journal."""
    name = journal.lab.name
    if journal.origin:
        raise UsageError(
            f"{name!r} was imported and has not been started yet", resolution=f"First: labgen start {name}"
        )
    if not journal.complete:
        raise UsageError(f"{name!r} was never finished", journal.failure, f"Resume it with: {journal.again}")


def _unknown(name: str) -> UsageError:
    hint = "'labgen list' shows all labs, 'labgen create' creates one."
    return UsageError(f"there is no lab named {name!r}", near(name, names(), "labs"), hint)


def exists(name: str) -> bool:
    return (paths.lab(name) / paths.STATE).is_file()


def names() -> list[str]:
    """All labs of this data home, including those whose journal was never written."""
    try:
        return sorted(path.name for path in paths.labs().iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Held by any process that changes the lab; the kernel releases it when that process ends, however it ends.

    :raises BusyError: another process holds it. :raises HostError: the lab may belong to another data home.
    :raises UsageError: the name is a path, and its lock would be elsewhere.
    """
    if "/" in name or "\0" in name:
        raise _unknown(name)
    data_home.owner()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(turns.lock(paths.lab_lock(name)))
        except turns.HeldError as error:
            raise BusyError(
                f"another labgen process is working on {name!r}",
                error.details,
                "Wait until it has ended, or stop it, and try again.",
            ) from error
        yield


def is_locked(name: str) -> bool:
    """Whether another process is changing the lab at this moment."""
    return turns.is_held(paths.lab_lock(name))
