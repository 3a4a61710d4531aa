"""What labgen looks at in a compose file before Docker reads it; Docker gets the file as it is.

The format: https://docs.docker.com/reference/compose-file/legacy-versions/, version 3; of its keys ``docker stack
deploy`` takes some.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

StoredKind = Literal["configs", "secrets"]
STORED: tuple[StoredKind, ...] = ("configs", "secrets")
_CONSTRAINT = re.compile(r"\s*(?P<key>[a-zA-Z0-9_.-]+)\s*(?P<operator>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*")


@dataclass(frozen=True)
class Constraint:
    """Where a service's tasks may run: ``key`` has (not) this value."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{self.value}"


def constraint(text: str) -> Constraint | None:
    """None: Swarm would refuse it."""
    found = _CONSTRAINT.fullmatch(text)
    return Constraint(found["key"], found["operator"] == "==", found["value"]) if found else None


@dataclass(frozen=True)
class Build:
    """How to build a service's image.

    :param context: the directory, relative. :param dockerfile: below it. :param target: the stage; empty: the last.
    :param arguments: the values of build arguments. :param bases: the images that it starts from.
    """

    context: str
    dockerfile: str
    target: str
    arguments: Mapping[str, str]
    bases: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackService:
    """A service in a compose file.

    :param image: as Docker lists it, with its tag; empty if it is built and has no name.
    :param binds: relative paths of bind mounts. :param ports: those published on all nodes, with their protocols.
    :param is_built: ``image`` is the name of what labgen built.
    """

    name: str
    image: str
    constraints: tuple[Constraint, ...] = ()
    binds: tuple[str, ...] = ()
    ports: tuple[tuple[int, str], ...] = ()
    build: Build | None = None
    is_built: bool = False


@dataclass(frozen=True)
class StoredFile:
    """A config or secret whose content is in a file. :param name: in the Swarm; empty: made from the stack's name.

    :param entry: as the compose file has it, with the variables replaced, and its labels as a mapping.
    """

    kind: StoredKind
    key: str
    name: str
    file: Path
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class External:
    """Something that has to exist before. :param kind: networks, volumes, configs or secrets."""

    kind: str
    name: str


@dataclass(frozen=True)
class Needs:
    """What has to exist before, and labgen makes if it does not; see :mod:`labgen.stacks.extension`.

    :param labels: each has to be a label of some node. :param secrets: their names in the Swarm.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComposeFile:
    """:param name: given in the file; may be empty. :param env_files: relative paths.

    :param ignored: keys that stacks ignore, and that Docker does not mention, by service.
    :param environment: the values of the variables that the file mentions. :param unset: those without a value.
    """

    path: Path
    text: str
    version: str
    name: str
    services: tuple[StackService, ...]
    stored: tuple[StoredFile, ...] = ()
    externals: tuple[External, ...] = ()
    needs: Needs = Needs()
    env_files: tuple[str, ...] = ()
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def binds(self) -> tuple[str, ...]:
        """All relative paths of bind mounts, each once."""
        return tuple(dict.fromkeys(bind for service in self.services for bind in service.binds))
