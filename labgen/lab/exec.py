"""``exec``: one command on several nodes, as if each were part of a pipe on this host."""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from labgen import ssh
from labgen.errors import GuestError, LabgenError
from labgen.machines.access import LOGIN_LIMIT, find_node, target, why_off
from labgen.model import Lab, Node
from labgen.parallel import joined, on_each
from labgen.records import journals

CHUNK = 65536  # bytes


class Output(Protocol):
    """Receives the output of the commands as it arrives; called from several threads at once.

    Any exception that it raises ends all commands.
    """

    def out(self, node: str, data: bytes) -> None:
        """Receives a command's standard output."""

    def err(self, node: str, data: bytes) -> None:
        """Receives a command's standard error."""


def run(name: str, nodes: Sequence[str], command: Sequence[str], stdin: int | None, output: Output) -> dict[str, int]:
    """Runs a command on nodes of a lab in parallel; if interrupted, ends it on all of them.

    :param nodes: names; none means all. :param stdin: a file descriptor; every command gets all of its data.
    :return: the exit statuses, by node name.
    :raises UsageError: there is no such lab or node.
    :raises GuestError: nodes could not be entered, or were lost; raised after the command has ended on all others.
    """
    lab = journals.load(name).lab
    chosen = [find_node(lab, node) for node in nodes] or list(lab.nodes)
    reached = on_each({node.name: node for node in chosen}, lambda node: _connect(lab, node))
    failures = [each for each in reached.values() if isinstance(each, GuestError)]
    connections = {node: each for node, each in reached.items() if not isinstance(each, GuestError)}
    with contextlib.ExitStack() as stack:
        for connection in connections.values():
            stack.callback(connection.close)
        try:
            ended = _follow(lab, connections, command, stdin, output)
        except KeyboardInterrupt:
            _stop(connections, "INT")
            raise
    failures += [each for each in ended.values() if isinstance(each, GuestError)]
    if failures:
        raise joined(list({each.brief: each for each in failures}.values()))  # a lab that is off is reported once
    return {node: each for node, each in ended.items() if isinstance(each, int)}


def _connect(lab: Lab, node: Node) -> ssh.Connection | GuestError:
    try:
        return ssh.Connection.open(target(lab, node), LOGIN_LIMIT)
    except GuestError as error:
        with contextlib.suppress(LabgenError):
            error = why_off(lab, node) or error
        return _with_resolution(error, lab)


def _with_resolution(error: GuestError, lab: Lab) -> GuestError:
    error.resolution = error.resolution or f"labgen status {lab.name}"
    return error


def _follow(
    lab: Lab, connections: Mapping[str, ssh.Connection], command: Sequence[str], stdin: int | None, output: Output
) -> dict[str, int | GuestError]:
    """Starts the command everywhere, and passes its input and output on until it has ended everywhere."""

    def wait(node: str) -> int | GuestError:
        try:
            return running[node].wait(lambda data: output.out(node, data), lambda data: output.err(node, data))
        except GuestError as error:
            return _with_resolution(error, lab)
        except OSError:
            _stop(connections, "PIPE")  # nobody reads any more, which is true for all nodes
            raise

    with contextlib.ExitStack() as stack:
        running = on_each(connections, lambda each: stack.enter_context(each.start(command)))
        threading.Thread(target=_feed, args=(stdin, list(running.values())), daemon=True).start()
        return on_each({node: node for node in running}, wait)


def _feed(source: int | None, commands: Sequence[ssh.Command]) -> None:
    """Chunk by chunk, no faster than the slowest command reads; commands that have ended are skipped."""
    while source is not None and commands and (chunk := _read(source)):
        commands = [each for each in commands if each.feed(chunk)]
    for each in commands:
        each.end_input()


def _read(source: int) -> bytes:
    """Bypasses Python's buffered file: its lock, held by a thread that waits here, would disturb the exit."""
    try:
        return os.read(source, CHUNK)
    except OSError:
        return b""  # closed, as by ">&-"


def _stop(connections: Mapping[str, ssh.Connection], signal: str) -> None:
    with contextlib.suppress(LabgenError):  # a lost machine runs nothing
        on_each(connections, lambda each: each.stop(signal))
