"""What labgen looks at in a compose file before Docker reads it; Docker gets the file as it is.

The format: https://docs.docker.com/reference/compose-file/legacy-versions/, version 3; of its keys ``docker stack
deploy`` takes some.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from labgen.errors import UsageError
from labgen.images import reference
from labgen.stacks import variables
from labgen.stacks.document import Document

StoredKind = Literal["configs", "secrets"]
STORED: tuple[StoredKind, ...] = ("configs", "secrets")
PREDEFINED = {"bridge", "host", "ingress", "none"}  # networks
_PATH = ("/", ".", "~")  # the beginnings by which Docker tells a path from the name of a volume
_CONSTRAINT = re.compile(r"\s*(?P<key>[a-zA-Z0-9_.-]+)\s*(?P<operator>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*")
_PORT = re.compile(r"(?:.*:)?(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?:[0-9]+(?:-[0-9]+)?(?:/(?P<protocol>[a-z]+))?")


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
class StackService:
    """A service in a compose file.
    :param image: as Docker lists it, with its tag. :param binds: relative paths of bind mounts.

    :param ports: those published on all nodes, with their protocols.
    """

    name: str
    image: str
    constraints: tuple[Constraint, ...] = ()
    binds: tuple[str, ...] = ()
    ports: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class StoredFile:
    """A config or secret whose content is in a file. :param name: in the Swarm; empty: made from the stack's name.

    :param entry: as the compose file has it, with the variables replaced.
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


def read(path: Path, shell: Mapping[str, str]) -> ComposeFile:
    """:param shell: its environment.

    :raises StackError: it cannot be read, or is not valid as far as labgen can tell.
    """
    values = variables.environment(path.parent, shell)
    document = Document(path, values)
    if not document.mapping("services"):
        raise document.wrong(document.data, "services", "services", "there are none")
    passed_on = {name for _, entry in document.entries("services") for name in _passed_on(entry)}
    mentioned = variables.mentioned(document.text)
    return ComposeFile(
        path=path,
        text=document.text,
        version=document.value(document.data.get("version", "")),
        name=document.value(document.data.get("name", "")),
        services=tuple(_service(document, name, entry) for name, entry in document.entries("services")),
        stored=tuple(_stored(document)),
        externals=tuple(_externals(document)),
        env_files=tuple(_env_files(document)),
        ignored={name: ("depends_on",) for name, entry in document.entries("services") if "depends_on" in entry},
        environment={name: values[name] for name in sorted(mentioned | passed_on) if name in values},
        unset=tuple(sorted(name for name in mentioned if name not in values and _is_needed(name, document.text))),
    )


def _service(document: Document, name: str, entry: dict[str, Any]) -> StackService:
    where = f"services.{name}"
    image = document.value(entry.get("image") or "")
    if not image:
        built = "It has 'build'; build the image, and name it with 'image'." if "build" in entry else ""
        raise document.wrong(document.mapping("services"), name, where, "has no image", built)
    try:
        named = image if "@" in image else reference(image)
    except UsageError as error:
        raise document.wrong(entry, "image", f"{where}.image", error.brief, error.resolution) from error
    return StackService(
        name,
        named,
        tuple(_constraints(document, where, entry)),
        tuple(_binds(document, where, entry)),
        tuple(_ports(document, entry)),
    )


def _constraints(document: Document, where: str, entry: dict[str, Any]) -> Iterator[Constraint]:
    deploy = entry.get("deploy")
    placement = deploy.get("placement") if isinstance(deploy, dict) else None
    listed = placement.get("constraints") if isinstance(placement, dict) else None
    for index, each in enumerate(listed if isinstance(listed, list) else ()):
        text = document.value(each)
        found = constraint(text)
        if not found:
            why = f"{text!r} is not a constraint, like node.role==worker or node.labels.disk!=slow"
            raise document.wrong(listed, index, f"{where}.deploy.placement.constraints", why)
        yield found


def _binds(document: Document, where: str, entry: dict[str, Any]) -> Iterator[str]:
    volumes = entry.get("volumes")
    for index, each in enumerate(volumes if isinstance(volumes, list) else ()):
        source = _source(document, each)
        if not source or source.startswith("/"):
            continue
        if reason := _why_not_sent(document.path.parent, source):
            advice = "labgen copies what is beside the compose file to the nodes."
            raise document.wrong(volumes, index, f"{where}.volumes", reason, advice)
        yield Path(source).as_posix()


def _source(document: Document, mount: object) -> str:
    """The path of a bind mount; empty for other mounts."""
    if isinstance(mount, dict):
        return document.value(mount.get("source", "")) if mount.get("type") == "bind" else ""
    source, colon, _ = document.value(mount).partition(":")
    return source if colon and source.startswith(_PATH) else ""


def _why_not_sent(directory: Path, source: str) -> str:
    """Why a file or directory cannot be sent to the nodes; empty if it can."""
    top = directory.resolve()
    if source.startswith("~") or not (top / source).resolve().is_relative_to(top):
        return f"{source} is outside the directory of the compose file"
    return "" if (top / source).exists() else f"{source} does not exist"


def _ports(document: Document, entry: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Those published on all nodes. Where the entry is not as expected, Docker will say so."""
    ports = entry.get("ports")
    for each in ports if isinstance(ports, list) else ():
        if isinstance(each, dict):
            published = document.value(each.get("published", ""))
            if each.get("mode", "ingress") == "ingress" and published.isdecimal():
                yield int(published), document.value(each.get("protocol", "tcp"))
        elif found := _PORT.fullmatch(document.value(each)):
            first = int(found["first"])
            for port in range(first, min(int(found["last"] or first), 65535) + 1):
                yield port, found["protocol"] or "tcp"


def _stored(document: Document) -> Iterator[StoredFile]:
    for kind in STORED:
        for key, entry in document.entries(kind):
            if "file" in entry:
                file = document.path.parent / Path(document.value(entry["file"])).expanduser()
                if not file.is_file():
                    raise document.wrong(entry, "file", f"{kind}.{key}.file", f"{file} is not a file")
                name = document.value(entry.get("name", ""))
                yield StoredFile(kind, key, name, file, document.plain(entry))


def _externals(document: Document) -> Iterator[External]:
    for kind in ("networks", "volumes", *STORED):
        for key, entry in document.entries(kind):
            external = entry.get("external")
            if not external:
                continue
            older = external.get("name", "") if isinstance(external, dict) else ""  # as until version 3.4
            name = document.value(entry.get("name") or older or key)
            if kind != "networks" or name not in PREDEFINED:
                yield External(kind, name)


def _env_files(document: Document) -> Iterator[str]:
    for service, entry in document.entries("services"):
        given = entry.get("env_file", [])
        for index, each in enumerate(given if isinstance(given, list) else [given]):
            path = document.value(each.get("path", "") if isinstance(each, dict) else each)
            parent, key = (given, index) if isinstance(given, list) else (entry, "env_file")
            if reason := _why_not_sent(document.path.parent, path):
                raise document.wrong(parent, key, f"services.{service}.env_file", reason)
            yield Path(path).as_posix()


def _passed_on(entry: dict[str, Any]) -> Iterator[str]:
    """The variables that a service gets from the shell, because only their names are given."""
    given = entry.get("environment")
    if isinstance(given, dict):
        yield from (str(name) for name, value in given.items() if value is None)
    elif isinstance(given, list):
        yield from (each for each in given if isinstance(each, str) and "=" not in each)


def _is_needed(name: str, text: str) -> bool:
    """Whether a variable appears somewhere without a default."""
    return bool(re.search(rf"\$(?:{name}\b|\{{{name}\}})", text))
