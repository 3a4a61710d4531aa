"""A connection to one machine: commands and scripts run in it."""

import contextlib
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import paramiko

from labgen.errors import GuestError
from labgen.model import GUEST_USER
from labgen.ssh.command import Command, Lines
from labgen.ssh.forwarding import local_socket
from labgen.ssh.keys import load_known_hosts, require_key
from labgen.ssh.transport import Transport

CONNECT_LIMIT = 3  # seconds; short, because a lost first packet is repeated after increasingly long pauses
HANDSHAKE_LIMIT = 90  # seconds; three emulated machines on two cores answer slowly while they boot
POLL = 0.5  # seconds between two attempts to reach a machine that does not answer yet
LOST_LIMIT = 60  # seconds until a machine that acknowledges nothing counts as lost, as by OpenSSH's ServerAlive...
ALIVE_INTERVAL = 15  # seconds between two probes of a silent machine's kernel
STOP_LIMIT = 30  # seconds; the script below takes a sixth of it, the rest is emulation
# All commands of this connection descend from the same process, our parent. Each process is signalled by itself: sudo
# may put what it runs into a separate group. As root, because nobody else may signal what sudo runs. $1: the signal.
STOP = """
others=$(ps -eo pid=,ppid= | awk -v top="$PPID" -v me=$$ '
    { parent[$1] = $2 }
    END {
        for (each in parent) {
            for (up = parent[each]; up in parent && up != top && up != me && each != me; ) up = parent[up]
            if (up == top && each != me) print each
        }
    }')
[ -n "$others" ] || exit 0
sudo -n kill -s "$1" $others
for _ in 1 2 3 4 5 6 7 8 9 10; do
    ps -o pid= -p "$(echo $others)" >/dev/null || exit 0
    sleep 0.5
done
sudo -n kill -s KILL $others
"""


@dataclass(frozen=True)
class Target:
    """Where a machine answers, and how to enter it.

    :param key: the private key's file. :param known_hosts: the file to which host keys are added.
    """

    name: str
    address: str
    key: Path
    known_hosts: Path
    port: int = 22


@dataclass(frozen=True)
class Result:
    """A command's result: its exit status, standard output and standard error."""

    status: int
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """The last lines of its errors, or of its output if there were no errors."""
        return "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-15:])


class Unreachable(GuestError):
    """The machine does not answer (yet)."""


class Connection:
    """An open connection to one machine; a context manager."""

    def __init__(self, target: Target, client: paramiko.SSHClient) -> None:
        self.target = target
        self._client = client

    @classmethod
    def open(cls, target: Target, limit: float = HANDSHAKE_LIMIT) -> Self:
        """Connects and logs in.

        A host key is learned at the first contact and must not change from then on.

        :param limit: seconds for each stage of the handshake.
        :raises Unreachable: nothing answers, or the login is refused.
        :raises GuestError: a different machine answers at this address than before, or there is no key.
        """
        require_key(target.key, target.name)
        client = paramiko.SSHClient()
        load_known_hosts(client, target.known_hosts)
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(client.close)
            try:
                # Not paramiko's own socket, because its limit on connecting would also apply to the key exchange.
                wire = socket.create_connection((target.address, target.port), CONNECT_LIMIT)
                unless_connected.callback(wire.close)
                _notice_loss(wire)
                client.connect(
                    target.address,
                    target.port,
                    GUEST_USER,
                    key_filename=str(target.key),
                    sock=wire,
                    timeout=limit,
                    banner_timeout=limit,
                    auth_timeout=limit,
                    allow_agent=False,
                    look_for_keys=False,
                    transport_factory=Transport,
                )
            except paramiko.BadHostKeyException as error:
                raise GuestError(
                    f"{target.name} ({target.address}) has a different host key than before",
                    str(error),
                    f"If you rebuilt that machine yourself, remove its line from {target.known_hosts}.",
                ) from error
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise Unreachable(
                    f"{target.name} does not answer on {target.address}:{target.port}", str(error)
                ) from error
            unless_connected.pop_all()
        return cls(target, client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        limit: float | None = 60,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Runs a command and waits for it.

        :param command: an argument vector; each argument arrives unchanged.
        :param limit: seconds without any output after which the command is considered lost; None: never.
        :param on_line: called with each line of standard output as it arrives.
        :raises GuestError: the connection broke or the limit passed.
        """
        lines = Lines(on_line)
        errors: list[bytes] = []
        with self.start(command) as running:
            threading.Thread(target=running.feed_all, args=(stdin,), daemon=True).start()
            status = running.wait(lines.take, errors.append, limit)
        return Result(status, lines.text(), b"".join(errors).decode(errors="replace"))

    @contextlib.contextmanager
    def start(self, command: Sequence[str]) -> Iterator[Command]:
        """Starts a command, for a caller that writes its input and reads its output.

        :param command: an argument vector; each argument arrives unchanged.
        :raises GuestError: the connection is broken.
        """
        try:
            channel = self._transport.open_session(timeout=HANDSHAKE_LIMIT)
            channel.exec_command(shlex.join(command))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise GuestError(f"{self.target.name}: {command[0]!r} cannot be started", str(error)) from error
        with contextlib.closing(channel):
            yield Command(self.target.name, command[0], channel)

    def stop(self, signal: str) -> None:
        """Ends all commands that were started through this connection.

        Closing the connection would not end them: they would continue until they read or write.

        :param signal: sent to them first, e.g. ``INT``; those that still exist after five seconds are killed.
        :raises GuestError: the connection is broken.
        """
        self.run(["sh", "-c", STOP, "sh", signal], limit=STOP_LIMIT)

    def forwarded(self, remote: str) -> AbstractContextManager[Path]:
        """A local socket that leads to a Unix socket in the machine, for as long as the context lasts."""
        return local_socket(lambda: self._transport.open_stream(remote))

    @property
    def _transport(self) -> Transport:
        transport = self._client.get_transport()
        if not isinstance(transport, Transport) or not transport.is_active():
            raise Unreachable(f"{self.target.name}: the connection is closed")
        return transport


def wait_for(target: Target, limit: float, give_up: Callable[[], str]) -> Connection:
    """Waits until a machine accepts a login.

    :param limit: seconds.
    :param give_up: called between two attempts; a non-empty answer is a reason to stop waiting.
    :raises Unreachable: the limit passed, or there was a reason to stop.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            return Connection.open(target)
        except Unreachable as error:
            last = error.details
        if reason := give_up():
            raise Unreachable(f"{target.name} cannot be reached", reason)
        if time.monotonic() > deadline:
            raise Unreachable(f"{target.name} did not answer on {target.address} within {limit:.0f} s", last)
        time.sleep(POLL)


def port_open(target: Target) -> bool:
    """Whether a program listens at the target's port."""
    try:
        with socket.create_connection((target.address, target.port), timeout=CONNECT_LIMIT):
            return True
    except OSError:
        return False


def _notice_loss(wire: socket.socket) -> None:
    """A lost machine sends nothing: the kernel has to probe it, and to end the connection."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ALIVE_INTERVAL)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ALIVE_INTERVAL)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, LOST_LIMIT // ALIVE_INTERVAL - 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_LIMIT * 1000)
