"""A stack on its way into a lab: its files to the nodes, its compose file to Docker on a manager."""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import IO

from labgen import ssh
from labgen.errors import ClusterError, GuestError, LabgenError, StackError
from labgen.progress import Amount, Progress
from labgen.stacks import ComposeFile
from labgen.stacks.override import Version
from labgen.stacks.override import text as override_text
from labgen.stacks.parcel import ENVIRONMENT, OVERRIDE, READ_BY_DOCKER, pack_binds, pack_files, to_be_removed

# Where a stack's bind mounts are on every node. What containers have written there is kept.
STACKS = "/var/lib/labgen/stacks"
RUN = "/run/labgen/stacks"  # in memory: configs, secrets and variables, while Docker reads them
# With its own settings, whatever the variables that a compose file uses say.
DOCKER = "/usr/bin/docker --host unix:///run/docker.sock --config /root/.docker"
LIMIT = 600  # seconds without any output
IN_MEMORY = 2**20  # bytes of a parcel; larger ones go to a file
PIECE = 2**16  # bytes
# $1: the directory. Files are overwritten in place, so that running containers see the new content.
UNPACK = 'umask 077 && mkdir -p "$1" && tar -x --overwrite --numeric-owner -C "$1"'
# $1: the stack. $2: the compose file. $3: --resolve-image. The others: what Docker does not need afterwards, in the
# stack's directory.
# The variables are set where nothing but Docker's client sees them: they may have any name.
DEPLOY = f"""
umask 077
stack=$1 file=$2 resolve=$3
shift 3
top={STACKS}/$stack run={RUN}/$stack
clean() {{
    rm -rf "$run"
    for each; do rm -f "$top/$each"; done
    rmdir "$top" 2>/dev/null || :
}}
trap 'clean "$@"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$top" && rm -rf "$run" && mkdir -p "$run" && tar -xC "$run" || exit
cp -R "$run/{READ_BY_DOCKER}/." "$top" || exit
(
    . "$run/{ENVIRONMENT}"
    {DOCKER} stack deploy --resolve-image "$resolve" \\
        -c "$top/$file" -c "$run/{OVERRIDE}" "$stack" </dev/null
)
"""
IGNORED = "Ignoring unsupported options: "
DEPRECATED = "Ignoring deprecated options:"
TOO_OLD = "unsupported Compose file version: 1.0"


@dataclass
class Answer:
    """What Docker said. :param acted: whether it created or updated anything. :param ignored: keys."""

    acted: bool = False
    ignored: list[str] = field(default_factory=list)


def send_binds(
    compose: ComposeFile,
    stack: str,
    nodes: Mapping[str, Collection[str]],
    connection: ssh.Connection,
    progress: Progress,
) -> None:
    """Copies the sources of bind mounts to a node; existing files are overwritten, nothing is removed.

    :param nodes: the relative paths, by node. :raises StackError: one cannot be read.
    :raises GuestError: the node does not take them.
    """
    name = connection.target.name
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as parcel:
        pack_binds(compose, nodes[name], parcel)
        command = ["sudo", "-n", "sh", "-c", UNPACK, "sh", f"{STACKS}/{stack}"]
        result = fed(connection, command, parcel, progress, lambda _: None)
    if result.status:
        raise GuestError(f"{name} does not take the files of {stack}", result.tail)
    progress.done("has the files", name, stage="send-files")


def deploy(
    compose: ComposeFile, stack: str, chosen: list[Version], manager: ssh.Connection, progress: Progress, *, pin: bool
) -> Answer:
    """Runs ``docker stack deploy`` on a manager.

    :param pin: ask the registries for the images' digests.
    :raises StackError: Docker does not accept the compose file; nothing has changed.
    :raises ClusterError: it failed after that; see :attr:`Answer.acted`.
    """
    answer = Answer()

    def hear(line: str) -> None:
        if line.startswith(("Creating ", "Updating ")):
            answer.acted = True
            progress.step(line[0].lower() + line[1:].partition(" (id:")[0], stage="deploy-stack")

    with tempfile.SpooledTemporaryFile(IN_MEMORY) as parcel:
        pack_files(compose, chosen, override_text(compose, chosen, f"{RUN}/{stack}"), parcel)
        command = ["sudo", "-n", "sh", "-c", DEPLOY, "sh", stack, compose.path.name, "always" if pin else "never"]
        command += to_be_removed(compose)
        result = fed(manager, command, parcel, progress, hear)
    answer.ignored, trouble = _sorted(result.stderr)
    answer.ignored = [key for key in answer.ignored if key != "build"]  # labgen has built the images
    if result.status and answer.acted:
        raise PartlyDeployed(f"Docker did not deploy all of {stack}", trouble or result.tail)
    if result.status:
        advice = 'Docker 20.10 asks for it: add version: "3.8" as the first line.' if TOO_OLD in trouble else ""
        raise StackError(f"Docker does not accept {compose.path}", trouble or result.tail, advice)
    return answer


class PartlyDeployed(ClusterError):
    """Docker stopped after it had created or updated something."""


def fed(
    connection: ssh.Connection, command: list[str], parcel: IO[bytes], progress: Progress, hear: Callable[[str], None]
) -> ssh.Result:
    """Runs a command in a machine that reads a parcel. :param hear: called with each line of its output."""
    size = parcel.tell()
    parcel.seek(0)
    amount = Amount("sending the stack's files", size, progress, connection.target.name, stage="send-files")
    lines, errors = ssh.Lines(hear), list[bytes]()
    with connection.start(command) as running:

        def feed() -> None:
            while (piece := parcel.read(PIECE)) and running.feed(piece):
                amount.more(len(piece))
            running.end_input()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            status = running.wait(lines.take, errors.append, LIMIT)
        except BaseException:
            with contextlib.suppress(LabgenError):
                connection.stop("TERM")  # what it does would go on otherwise
            raise
        feeder.join()
    return ssh.Result(status, lines.text(), b"".join(errors).decode(errors="replace"))


def _sorted(errors: str) -> tuple[list[str], str]:
    """Docker's words on standard error: the keys that it ignores, and the rest."""
    ignored, rest = list[str](), list[str]()
    deprecated = False
    for line in errors.splitlines():
        if line.startswith(IGNORED):
            ignored += line.removeprefix(IGNORED).split(", ")
        elif line == DEPRECATED:
            deprecated = True
        elif deprecated and ": " in line and not line.startswith("failed"):
            ignored.append(line.partition(":")[0])
        elif line.strip():
            deprecated = False
            rest.append(line)
    return ignored, "\n".join(rest)
