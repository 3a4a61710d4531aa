"""``labgen exec``."""

import os
import sys
import threading
from typing import Literal

import click

from labgen.cli import complete

STDIN = 0  # its file descriptor
LONGEST = 65536  # bytes of a line that are buffered until its end arrives

Stream = Literal["stdout", "stderr"]


class OwnOptionsFirst(click.Command):
    """Accepts its options before and after LAB, but not from COMMAND on, which has its own options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        lab = self._after_options(args, 0)
        if lab < len(args) and args[lab] != "--":
            command = self._after_options(args, lab + 1)
            rest = args[command + 1 :] if args[command : command + 1] == ["--"] else args[command:]
            args = [*args[:lab], *args[lab + 1 : command], "--", args[lab], *rest]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = "Put '--' before COMMAND: labgen exec LAB -- COMMAND. For a terminal: labgen ssh LAB NODE."
            raise click.UsageError(f"{error.format_message()} {hint}", ctx) from error

    def _after_options(self, args: list[str], index: int) -> int:
        """The index of the first word that is neither an option nor an option's value."""
        options = [each for each in self.params if isinstance(each, click.Option) and not each.is_flag]
        valued = {name for each in options for name in each.opts}
        while index < len(args) and args[index].startswith("-") and args[index] not in {"-", "--"}:
            index += 2 if args[index] in valued else 1
        return min(index, len(args))


@click.command("exec", cls=OwnOptionsFirst, context_settings={"allow_interspersed_args": False})
@click.argument("lab", shell_complete=complete.labs)
@click.option(
    "--node", "nodes", multiple=True, metavar="N", shell_complete=complete.nodes, help="Run on node N; repeatable."
)
@click.option("--all", "everywhere", is_flag=True, help="Run on all nodes (the default).")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_command(
    context: click.Context, lab: str, nodes: tuple[str, ...], everywhere: bool, command: tuple[str, ...]
) -> None:
    """Run a command on nodes, in parallel.

    Each node gets all of standard input, unless that is a terminal. Output of a
    single node is passed on unchanged; of several, each line is prefixed with the
    node's name. The exit code is the highest of all nodes; 128 + N if signal N
    ended the command. Ctrl-C ends it on all nodes.

    \b
    Examples:
      labgen exec three-node-btrfs -- docker info -f '{{.Driver}}'
      labgen exec three-node-btrfs --node manager1 -- docker node ls
      labgen exec three-node-btrfs -- sh -c 'df -h | grep docker'
      docker save image | labgen exec three-node-btrfs -- docker load
    """
    from labgen.lab.exec import run
    from labgen.records import journals

    if nodes and everywhere:
        raise click.UsageError("--node and --all cannot be combined")
    known = [node.name for node in journals.load(lab).lab.nodes]
    if command[0] in known and "--" in command[1:2]:
        raise click.UsageError(f"{command[0]!r} is a node: labgen exec {lab} --node {command[0]} -- COMMAND")
    label = len(set(nodes) or known) > 1
    output = LinesByNode() if label else AsItIs()
    stdin = None if os.isatty(STDIN) else STDIN
    try:
        statuses = run(lab, nodes, command, stdin, output)
    finally:
        output.end()
    context.exit(max(statuses.values()))


class AsItIs:
    """Passes on the output of a single node, byte for byte."""

    def out(self, _node: str, data: bytes) -> None:
        _write("stdout", data)

    def err(self, _node: str, data: bytes) -> None:
        _write("stderr", data)

    def end(self) -> None:
        pass


class LinesByNode:
    """Prints the output of several nodes in complete lines, each after its node's name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rests: dict[tuple[Stream, str], bytes] = {}

    def out(self, node: str, data: bytes) -> None:
        self._take("stdout", node, data)

    def err(self, node: str, data: bytes) -> None:
        self._take("stderr", node, data)

    def end(self) -> None:
        """Prints incomplete last lines."""
        with self._lock:
            for (stream, node), rest in self._rests.items():
                if rest:
                    self._show(stream, node, [rest])
            self._rests.clear()

    def _take(self, stream: Stream, node: str, data: bytes) -> None:
        with self._lock:
            *lines, rest = (self._rests.get((stream, node), b"") + data).split(b"\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], b""
            self._rests[stream, node] = rest
            self._show(stream, node, lines)

    def _show(self, stream: Stream, node: str, lines: list[bytes]) -> None:
        _write(stream, b"".join(b"%s: %s\n" % (node.encode(), line) for line in lines))


def _write(stream: Stream, data: bytes) -> None:
    """Writes at once: a command that the user watches may be silent for a long time."""
    binary = (sys.stdout if stream == "stdout" else sys.stderr).buffer
    binary.write(data)
    binary.flush()
