"""The journal of one lab: what was planned, how far it came, what was found in the machines.

Written after every stage, atomically. It says what to look for; whether it is there, the host says.
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Literal

from labgen import paths, turns
from labgen.errors import LabgenError, UsageError
from labgen.model import Lab, NodeFacts
from labgen.records import data_home
from labgen.records.record import Content, Kind
from labgen.suggestions import near

# In this order. A lab is complete when it was verified.
Stage = Literal["planned", "rendered", "booted", "provisioned", "clustered", "verified"]


class BusyError(LabgenError):
    """Somebody else is changing the lab."""


class JournalLost(LabgenError):
    """A lab's journal is not there, or cannot be read."""


@dataclass(frozen=True)
class Origin:
    """A lab that came from elsewhere, until it has run here once.

    :param readdressed: its disks know themselves by other addresses. :param renew: its secrets are the sender's.
    :param memory: ``kept``: the machines' memory came along; ``taken``: and they have begun to go on with it.
    """

    readdressed: bool
    renew: bool
    memory: Literal["", "kept", "taken"] = ""


@dataclass(frozen=True)
class Request:
    """What ``create`` was asked for, so that the same can be asked again, from anywhere.

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

    :param rebuilding: the nodes whose rebuild has begun: they hold nothing yet.
    :param request: None: the lab was imported, or made by a labgen that did not note it.
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
        if self.stage == "planned":  # it has not even its profile
            return Request(self.lab.profile).command(self.lab.name)
        return f"labgen start {self.lab.name}"

    def reached(self, stage: Stage) -> "Journal":
        return replace(self, stage=stage, failure="")

    def failed(self, why: str) -> "Journal":
        return replace(self, failure=why)


def _without_pool(content: Content) -> Content:
    """In schema 1 a lab had the network that its orchestrator takes in the machines; it is the orchestrator's own."""
    if isinstance(lab := content.get("lab"), dict):  # else it is damaged, and what it lacks is said afterwards
        lab.pop("swarm_pool", None)
    return content


def _with_kinds(content: Content) -> Content:
    """In schema 2 every node was for the cluster, and had one disk beside its root disk, for Docker."""
    lab: Content = content.get("lab") or {}
    for node in lab["nodes"]:
        if {"serial", "storage_gib"} <= node.keys():
            disk = {"name": "docker", "serial": node.pop("serial"), "gib": node.pop("storage_gib")}
            node["disks"] = [{**disk, "holds": "Docker's images and volumes"}]
            node["is_member"] = lab.get("orchestrator") == "swarm"
            node["kind"] = "swarm" if node["is_member"] else "docker"
    return content


_KIND = Kind(Journal, (_without_pool, _with_kinds), later=("rebuilding", "request"))


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


def require_there(name: str) -> None:
    """:raises UsageError: there is no lab of that name, with or without a journal."""
    if name not in names():  # also whatever would lead out of the labs' directory
        raise _unknown(name)


def load_finished(name: str) -> Journal:
    """:raises UsageError: there is no such lab, or it has not run here. :raises LabgenError: as :func:`load`."""
    journal = load(name)
    require_finished(journal)
    return journal


def require_finished(journal: Journal) -> None:
    """:raises UsageError: the lab has not run here, so that its machines need not be what its journal says."""
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
    """All labs of this data home, also those whose journal was never written."""
    try:
        return sorted(path.name for path in paths.labs().iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Held by whoever changes the lab; the kernel releases it when that process ends, however it ends.

    :raises BusyError: somebody else holds it. :raises HostError: the lab may be another data home's.
    :raises UsageError: the name is a path, and its lock would lie elsewhere.
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
    """Whether somebody is changing the lab at this moment."""
    return turns.is_held(paths.lab_lock(name))
