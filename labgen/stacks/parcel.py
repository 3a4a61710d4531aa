"""The files of a stack, packed for a node."""

import io
import re
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labgen.errors import StackError
from labgen.stacks.compose import Build, ComposeFile
from labgen.stacks.override import Version

# Below READ_BY_DOCKER are the files that compose files name by relative paths, the first compose file with them.
READ_BY_DOCKER = "stack"
CONTEXT = "context"
OVERRIDE = "override.json"
ENVIRONMENT = "environment"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def pack_binds(compose: ComposeFile, binds: Iterable[str], into: IO[bytes]) -> None:
    """The files and directories of bind mounts, with their owners and modes.

    :raises StackError: one cannot be read.
    """
    with _written(compose, into) as tar:
        for bind in binds:
            tar.add((compose.directory / bind).resolve(), bind)


def pack_files(compose: ComposeFile, chosen: Iterable[Version], override: str, into: IO[bytes]) -> None:
    """What ``docker stack deploy`` reads: the compose files, the variables, and the files that they name.

    :raises StackError: one cannot be read.
    """
    with _written(compose, into) as tar:
        _add(tar, f"{READ_BY_DOCKER}/{compose.path.name}", compose.text.encode())
        for path in compose.env_files:
            _add(tar, f"{READ_BY_DOCKER}/{path}", (compose.directory / path).read_bytes())
        for each in chosen:
            _add(tar, each.path, each.of.file.read_bytes())
        _add(tar, OVERRIDE, override.encode())
        _add(tar, ENVIRONMENT, _exports(compose.environment).encode())


def pack_context(compose: ComposeFile, build: Build, into: IO[bytes]) -> None:
    """What ``docker build`` reads: the context, and the values of its arguments.

    :raises StackError: it cannot be read.
    """
    with _written(compose, into) as tar:
        tar.add((compose.directory / build.context).resolve(), CONTEXT)
        _add(tar, ENVIRONMENT, _exports(build.arguments).encode())


def to_be_removed(compose: ComposeFile) -> list[str]:
    """Which of those files Docker no longer needs afterwards: all but those in bind mounts."""
    mounted = [Path(bind) for bind in compose.binds]
    files = [compose.path.name, *compose.env_files]
    return [file for file in files if not any(Path(file).is_relative_to(bind) for bind in mounted)]


@contextmanager
def _written(compose: ComposeFile, into: IO[bytes]) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=into, mode="w") as tar:
            yield tar
    except OSError as error:
        raise StackError(f"the files of the stack in {compose.directory} cannot be packed", str(error)) from error


def _exports(environment: Mapping[str, str]) -> str:
    """POSIX shell that sets the variables."""
    valid = {name: value for name, value in environment.items() if _NAME.fullmatch(name)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in valid.items())


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    member = tarfile.TarInfo(Path(path).as_posix())
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))
