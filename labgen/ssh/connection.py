"""One machine, entered: commands and scripts run in it."""

import contextlib
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import paramiko

from labgen.errors import GuestError
from labgen.model import GUEST_USER
from labgen.ssh.forwarding import StreamLocalTransport, local_socket
from labgen.ssh.keys import load_known_hosts, require_key

CONNECT_LIMIT = 3  # seconds; short, because a lost first packet is repeated after ever longer pauses
HANDSHAKE_LIMIT = 90  # seconds; three emulated machines on two cores answer slowly while they boot
POLL = 0.5  # seconds between two looks at a machine that does not answer yet


@dataclass(frozen=True)
class Target:
    """Where a machine answers and how to enter it.

    :param key: the private key's file. :param known_hosts: the file host keys are learned into.
    """

    name: str
    address: str
    key: Path
    known_hosts: Path
    port: int = 22


@dataclass(frozen=True)
class Result:
    """What a command left: its exit status, standard output and standard error."""

    status: int
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """The last lines of what it said; its errors, if it said any."""
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

        A host key is learned at the first contact and must stay the same from then on.

        :param limit: seconds for each stage of the handshake.
        :raises Unreachable: nothing answers, or the login is refused.
        :raises GuestError: another machine answers than the one known by this address, or there is no key.
        """
        require_key(target.key, target.name)
        client = paramiko.SSHClient()
        load_known_hosts(client, target.known_hosts)
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(client.close)
            try:
                # Our own, for paramiko's limit on connecting would be one on the key exchange as well.
                wire = socket.create_connection((target.address, target.port), CONNECT_LIMIT)
                unless_connected.callback(wire.close)
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
                    transport_factory=StreamLocalTransport,
                )
            except paramiko.BadHostKeyException as error:
                raise GuestError(
                    f"{target.name} ({target.address}) shows another host key than before",
                    str(error),
                    f"If you made that machine anew yourself, remove its line from {target.known_hosts}.",
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

        :param command: an argument vector; each argument arrives as it is.
        :param limit: seconds without any output after which the command is given up; None: never.
        :param on_line: called with each line of standard output as it comes.
        :raises GuestError: the connection broke or the limit passed.
        """
        try:
            with contextlib.closing(self._transport.open_session(timeout=HANDSHAKE_LIMIT)) as channel:
                channel.settimeout(limit)
                channel.exec_command(shlex.join(command))
                return _converse(channel, stdin, on_line)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise GuestError(
                f"{self.target.name}: the connection broke while {command[0]!r} ran",
                str(error) or f"nothing came for {limit} s",
            ) from error

    def forwarded(self, remote: str) -> AbstractContextManager[Path]:
        """A local socket that leads to a Unix socket in the machine, for as long as the context lasts."""
        return local_socket(lambda: self._transport.open_stream(remote))

    @property
    def _transport(self) -> StreamLocalTransport:
        transport = self._client.get_transport()
        if not isinstance(transport, StreamLocalTransport) or not transport.is_active():
            raise Unreachable(f"{self.target.name}: the connection is closed")
        return transport


def wait_for(target: Target, limit: float, give_up: Callable[[], str]) -> Connection:
    """Waits until a machine lets us in.

    :param limit: seconds.
    :param give_up: asked between two looks; a non-empty answer is a reason to stop waiting.
    :raises Unreachable: the limit passed, or there was a reason to stop.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            return Connection.open(target)
        except Unreachable as error:
            last = error.details
        if reason := give_up():
            raise Unreachable(f"{target.name} will not answer", reason)
        if time.monotonic() > deadline:
            raise Unreachable(f"{target.name} did not answer on {target.address} within {limit:.0f} s", last)
        time.sleep(POLL)


def port_open(target: Target) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((target.address, target.port), timeout=CONNECT_LIMIT):
            return True
    except OSError:
        return False


def _converse(channel: paramiko.Channel, stdin: bytes, on_line: Callable[[str], None] | None) -> Result:
    """Feeds a running command and collects what it says, each stream in a thread of its own:

    a command may talk before it has read everything, and fill one stream while the other is read.
    """
    errors: list[bytes] = []
    helpers = [
        threading.Thread(target=_send_all, args=(channel, stdin), daemon=True),
        threading.Thread(target=_collect_errors, args=(channel, errors), daemon=True),
    ]
    for helper in helpers:
        helper.start()
    output = []
    with channel.makefile("rb") as lines:
        for raw in lines:
            line = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
            output.append(line)
            if on_line:
                on_line(line.rstrip("\n"))
    status = channel.recv_exit_status()
    helpers[1].join()
    return Result(status, "".join(output), b"".join(errors).decode(errors="replace"))


def _send_all(channel: paramiko.Channel, data: bytes) -> None:
    with contextlib.suppress(OSError, EOFError):
        channel.sendall(data)
        channel.shutdown_write()


def _collect_errors(channel: paramiko.Channel, into: list[bytes]) -> None:
    with contextlib.suppress(OSError, EOFError):
        while chunk := channel.recv_stderr(65536):
            into.append(chunk)
