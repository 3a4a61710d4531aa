"""Connections, against an SSH server in this process. tests/vm uses OpenSSH itself."""

import contextlib
import errno
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from labgen import ssh
from labgen.errors import GuestError, LabgenError
from labgen.model import Step
from labgen.ssh import Connection, Target, Unreachable, make_key, run_all


class Server(paramiko.ServerInterface):
    """Accepts one key, runs commands (without sudo), and echoes data from a forwarded socket."""

    def __init__(self, key: paramiko.PKey) -> None:
        self.key = key
        self.streams: list[int] = []

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "vagrant" and key == self.key
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "direct-streamlocal@openssh.com":
            self.streams.append(chanid)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        _quietly(_execute, channel, command.decode())
        return True


def _quietly(work: Callable[..., None], *arguments: Any) -> None:
    """Runs in a thread of the server; the client may disconnect at any time."""

    def attempt() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            work(*arguments)

    threading.Thread(target=attempt, daemon=True).start()


def _execute(channel: paramiko.Channel, command: str) -> None:
    words = [word for word in shlex.split(command) if word not in {"sudo", "-n"}]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        data = b""
        while chunk := channel.recv(65536):
            data += chunk
        output, errors = process.communicate(data)
    channel.sendall(output)
    channel.sendall_stderr(errors)
    channel.send_exit_status(process.returncode)
    channel.close()


def _echo(transport: paramiko.Transport, server: Server) -> None:
    while channel := transport.accept(30):
        if channel.get_id() in server.streams:
            _quietly(_shout, channel)


def _shout(channel: paramiko.Channel) -> None:
    while chunk := channel.recv(65536):
        channel.sendall(chunk.upper())
    channel.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Target]:
    key = tmp_path / "key"
    make_key(key, "a lab")
    host_key = paramiko.RSAKey.generate(2048)
    public = paramiko.Ed25519Key(filename=str(key))
    transports = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transports.append(transport)
            transport.add_server_key(host_key)
            server = Server(public)
            try:
                transport.start_server(server=server)
            except (paramiko.SSHException, EOFError, OSError):
                continue
            _quietly(_echo, transport, server)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Target("node1", "127.0.0.1", key, tmp_path / "known_hosts", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for transport in transports:
        transport.close()


def test_a_command_gives_its_output_errors_and_status(machine: Target) -> None:
    lines: list[str] = []
    with Connection.open(machine) as node:
        result = node.run(["sh", "-c", "echo out; echo 'a b'; echo err >&2; exit 4"], on_line=lines.append)
    assert (result.status, result.stdout, result.stderr) == (4, "out\na b\n", "err\n")
    assert lines == ["out", "a b"]
    assert result.tail == "err"


def test_arguments_arrive_as_they_are(machine: Target) -> None:
    text = "a 'b' \"c\" $(id) `id` ; |\\"
    with Connection.open(machine) as node:
        assert node.run(["printf", "%s", text]).stdout == text


def test_scripts_run_in_order_each_under_its_own_interpreter(machine: Target) -> None:
    scripts = {
        "first.sh": "echo $1 $2; echo aside >&2",
        "extra/second.py": "#!/usr/bin/env python3\nprint(6 * 7)\n",
        "long.sh": "#!/bin/sh\n# long\n" + "true\n" * 50000 + "echo end\n",
    }
    steps = [Step("first.sh", ("one", "two $(three)")), Step("extra/second.py"), Step("long.sh")]
    begun: list[str] = []
    lines: list[str] = []
    with Connection.open(machine) as node:
        result = run_all(node, scripts, steps, begun.append, lines.append)
    assert begun == ["first.sh", "extra/second.py", "long.sh"]
    assert result.stdout == "== first.sh\none two $(three)\naside\n== extra/second.py\n42\n== long.sh\nend\n"
    assert lines == result.stdout.splitlines()
    assert result.status == 0


def test_no_script_runs_after_one_that_failed_and_no_file_is_left(machine: Target, tmp_path: Path) -> None:
    scripts = {"fail.sh": f"pwd; dirname $0 >{tmp_path}/where; exit 7", "never.sh": "echo never"}
    with Connection.open(machine) as node:
        result = run_all(node, scripts, [Step("fail.sh"), Step("never.sh")], lambda _: None, lambda _: None)
    assert result.status == 7
    assert "never" not in result.stdout
    assert not Path((tmp_path / "where").read_text().strip()).exists()


def test_the_host_key_is_learned_and_then_required(machine: Target) -> None:
    Connection.open(machine).close()
    assert len(machine.known_hosts.read_text().splitlines()) == 1
    assert machine.known_hosts.stat().st_mode & 0o077 == 0
    Connection.open(machine).close()
    name, kind, _ = machine.known_hosts.read_text().split()
    other = paramiko.RSAKey.generate(2048).get_base64()
    machine.known_hosts.write_text(f"{name} {kind} {other}\n")
    with pytest.raises(GuestError, match="a different host key") as caught:
        Connection.open(machine)
    assert str(machine.known_hosts) in caught.value.resolution


def test_a_host_key_is_learned_in_one_step(machine: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.known_hosts.write_text("elsewhere ssh-ed25519 AAAA")  # as an editor leaves it, without a last newline

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched, pytest.raises(LabgenError):
        patched.setattr(Path, "replace", full)
        Connection.open(machine)
    assert machine.known_hosts.read_text() == "elsewhere ssh-ed25519 AAAA"
    Connection.open(machine).close()
    first, second = machine.known_hosts.read_text().splitlines()
    assert first == "elsewhere ssh-ed25519 AAAA"
    assert second.startswith("[127.0.0.1]:")


def test_a_wrong_key_is_refused(machine: Target, tmp_path: Path) -> None:
    make_key(tmp_path / "other", "another lab")
    with pytest.raises(Unreachable):
        Connection.open(replace(machine, key=tmp_path / "other"))


def test_a_forwarded_socket_carries_both_ways_and_several_at_once(machine: Target) -> None:
    with Connection.open(machine) as node, node.forwarded("/run/docker.sock") as path:
        assert path.parent.stat().st_mode & 0o077 == 0
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.settimeout(20)
            client.connect(str(path))
        for number, client in enumerate(clients):
            client.sendall(f"hello {number}".encode())
        for number, client in enumerate(clients):
            assert client.recv(100).decode() == f"HELLO {number}"
            client.close()
    assert not path.exists()


def test_a_closed_connection_is_explained(machine: Target) -> None:
    node = Connection.open(machine)
    node.close()
    with pytest.raises(GuestError):
        node.run(["true"])


def test_waiting_ends_with_the_connection(machine: Target) -> None:
    ssh.wait_for(machine, 30, lambda: "").close()


def test_waiting_ends_when_there_is_no_hope(tmp_path: Path) -> None:
    make_key(tmp_path / "key", "a lab")
    target = Target("node1", "127.0.0.1", tmp_path / "key", tmp_path / "known_hosts", port=1)
    with pytest.raises(Unreachable) as caught:
        ssh.wait_for(target, 30, lambda: "Vagrant failed")
    assert caught.value.details == "Vagrant failed"
    with pytest.raises(Unreachable) as caught:
        ssh.wait_for(target, 0, lambda: "")
    assert "refused" in caught.value.details


def test_a_key_is_made_once_and_its_public_half_as_often_as_it_is_lost(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make_key(key, "a lab")
    private, public = key.read_text(), ssh.public_key(key)
    assert key.stat().st_mode & 0o077 == 0
    key.with_suffix(".pub").unlink()
    make_key(key, "a lab")
    assert key.read_text() == private
    assert ssh.public_key(key).split()[:2] == public.split()[:2]
    assert key.with_suffix(".pub").exists()


def test_a_key_from_elsewhere_is_taken_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path / "theirs", "a lab")
    key = tmp_path / "key"
    key.write_text("what was there")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(OSError, match="No space left"):
            ssh.take_key((tmp_path / "theirs").read_text(), key)
    assert key.read_text() == "what was there"
    ssh.take_key((tmp_path / "theirs").read_text(), key)
    assert key.read_text() == (tmp_path / "theirs").read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    assert ssh.public_key(key).split()[:2] == ssh.public_key(tmp_path / "theirs").split()[:2]


def test_a_key_that_is_gone_is_told_at_once_and_not_replaced(tmp_path: Path) -> None:
    target = Target("node1", "127.0.0.1", tmp_path / "key", tmp_path / "known_hosts", port=1)
    with pytest.raises(GuestError, match="private key of the lab is missing") as caught:
        ssh.wait_for(target, 300, lambda: "")
    assert not isinstance(caught.value, Unreachable)
    assert str(tmp_path / "key") in caught.value.details
    with pytest.raises(GuestError):
        ssh.public_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []
