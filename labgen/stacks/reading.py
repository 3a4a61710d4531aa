"""Reading a compose file. Only what labgen acts on is checked here; about everything else, Docker will say so."""

import re
from collections.abc import Iterator, Mapping
from os.path import expanduser
from pathlib import Path
from posixpath import normpath
from typing import Any

from labgen.errors import UsageError
from labgen.images import reference
from labgen.stacks import variables
from labgen.stacks.compose import (
    STORED,
    Build,
    ComposeFile,
    Constraint,
    External,
    StackService,
    StoredFile,
    constraint,
)
from labgen.stacks.document import Document
from labgen.stacks.extension import needs

PREDEFINED = {"bridge", "host", "ingress", "none"}  # networks
_NO = {"no", "n", "off", "false"}  # Docker's YAML is older than the 1.2 that is read here
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)  # in a Dockerfile
_PATH = ("/", ".", "~")  # the beginnings by which Docker tells a path from the name of a volume
_PORT = re.compile(r"(?:.*:)?(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?:[0-9]+(?:-[0-9]+)?(?:/(?P<protocol>[a-z]+))?")


def read(path: Path, shell: Mapping[str, str]) -> ComposeFile:
    """:param shell: its environment.

    :raises StackError: it cannot be read, or is not valid as far as labgen can tell.
    """
    values = variables.environment(path.parent, shell)
    document = Document(path, values)
    if not document.mapping("services"):
        raise document.wrong(document.data, "services", "services", "there are none")
    passed_on = {name for _, entry in document.entries("services") for name in _passed_on(entry)}
    code = "\n".join(line for line in document.text.splitlines() if not line.lstrip().startswith("#"))
    mentioned = variables.mentioned(code)
    services = tuple(_service(document, name, entry) for name, entry in document.entries("services"))
    externals = tuple(_externals(document))
    return ComposeFile(
        path=path,
        text=document.text,
        version=document.value(document.data.get("version", "")),
        name=document.value(document.data.get("name", "")),
        services=services,
        stored=tuple(_stored(document)),
        externals=externals,
        needs=needs(document, services, externals),
        env_files=tuple(_env_files(document)),
        ignored={name: ("depends_on",) for name, entry in document.entries("services") if "depends_on" in entry},
        environment={name: values[name] for name in sorted(mentioned | passed_on) if name in values},
        unset=tuple(sorted(name for name in mentioned if name not in values and _is_needed(name, code))),
    )


def _service(document: Document, name: str, entry: dict[str, Any]) -> StackService:
    where = f"services.{name}"
    image = document.value(entry.get("image") or "")
    build = _build(document, where, entry)
    if not image and not build:
        raise document.wrong(document.mapping("services"), name, where, "has neither an image nor a build")
    try:
        named = image if "@" in image or not image else reference(image)
    except UsageError as error:
        raise document.wrong(entry, "image", f"{where}.image", error.brief, error.resolution) from error
    return StackService(
        name,
        named,
        tuple(_constraints(document, where, entry)),
        tuple(_binds(document, where, entry)),
        tuple(_ports(document, entry)),
        build,
    )


def _build(document: Document, where: str, entry: dict[str, Any]) -> Build | None:
    given = entry.get("build")
    if not given:
        return None
    details = given if isinstance(given, dict) else {"context": given}
    context = document.value(details.get("context")) or "."
    reason = _why_not_sent(document.path.parent, context)
    if reason or not (document.path.parent / context).is_dir():
        why = reason or f"{context} is not a directory"
        raise document.wrong(entry, "build", f"{where}.build", why, "labgen builds from directories beside the file.")
    dockerfile = document.value(details.get("dockerfile")) or "Dockerfile"
    try:
        bases = tuple(_FROM.findall((document.path.parent / context / dockerfile).read_text(errors="replace")))
    except OSError as error:
        why = f"there is no {dockerfile} in {context}"
        raise document.wrong(entry, "build", f"{where}.build", why) from error
    given_arguments = document.pairs(details, "args", f"{where}.build")
    chosen = {name: document.variable(name) if each is None else each for name, each in given_arguments.items()}
    values = {name: each for name, each in chosen.items() if each is not None}
    return Build(normpath(context), dockerfile, document.value(details.get("target", "")), values, bases)


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
            continue  # on the nodes themselves
        if reason := _why_not_sent(document.path.parent, source):
            advice = "labgen copies what is beside the compose file to the nodes."
            raise document.wrong(volumes, index, f"{where}.volumes", reason, advice)
        yield normpath(source)


def _source(document: Document, mount: object) -> str:
    """The path of a bind mount; empty for other mounts."""
    if isinstance(mount, dict):
        return document.value(mount.get("source", "")) if mount.get("type") == "bind" else ""
    source, colon, _ = document.value(mount).partition(":")
    return source if colon and source.startswith(_PATH) else ""


def _why_not_sent(directory: Path, source: str) -> str:
    """Why a file or directory cannot be sent to the nodes; empty if it can."""
    top = directory.resolve()
    if source.startswith("/"):
        return f"{source} is not a relative path"
    if (
        source.startswith("~")
        or normpath(source).startswith("..")
        or not (top / source).resolve().is_relative_to(top)
    ):
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
                named = expanduser(document.value(entry["file"]))  # noqa: PTH111 - Path's fails for an unknown user
                file = document.path.parent / named
                if not file.is_file():
                    raise document.wrong(entry, "file", f"{kind}.{key}.file", f"{file} is not a file")
                name = document.value(entry.get("name", ""))
                labels = document.pairs(entry, "labels", f"{kind}.{key}")
                whole = {**document.plain(entry), "labels": {label: each or "" for label, each in labels.items()}}
                yield StoredFile(kind, key, name, file, whole)


def _externals(document: Document) -> Iterator[External]:
    for kind in ("networks", "volumes", *STORED):
        for key, entry in document.entries(kind):
            external = entry.get("external")
            if not external or str(external).lower() in _NO:
                continue
            older = external.get("name", "") if isinstance(external, dict) else ""  # as until version 3.4
            name = document.value(entry.get("name") or older or key)
            if kind != "networks" or name not in PREDEFINED:
                yield External(kind, name)


def _env_files(document: Document) -> Iterator[str]:
    for service, entry in document.entries("services"):
        given = entry.get("env_file") or []
        for index, each in enumerate(given if isinstance(given, list) else [given]):
            path = document.value(each.get("path", "") if isinstance(each, dict) else each)
            parent, key = (given, index) if isinstance(given, list) else (entry, "env_file")
            if reason := _why_not_sent(document.path.parent, path):
                raise document.wrong(parent, key, f"services.{service}.env_file", reason)
            yield normpath(path)


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
