"""Commands through OpenSSH's own server, run by this user; skipped if it is not installed."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labgen.errors import GuestError
from labgen.model import Step
from labgen.ssh import Connection, Target, make_key, run_all

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd: install openssh-server")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    monkeypatch.setattr("labgen.ssh.connection.GUEST_USER", getpass.getuser())
    for key in ("host", "key"):
        make_key(tmp_path / key, "a test")
    programs = tmp_path / "bin"
    programs.mkdir()
    sudo = programs / "sudo"  # it may be missing, or not permitted
    sudo.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    sudo.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/key.pub\nSetEnv PATH={programs}:/usr/bin:/bin\nPermitRootLogin yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's chroot directory
    with (tmp_path / "sshd.log").open("w") as log:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=log)
    target = Target("node1", "127.0.0.1", tmp_path / "key", tmp_path / "known_hosts", port)
    try:
        yield target
    finally:
        server.terminate()
        server.wait(10)


def entered(target: Target) -> Connection:
    """Connects as soon as the server listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return Connection.open(target)
        except GuestError:
            assert time.monotonic() < deadline, (target.key.parent / "sshd.log").read_text()
            time.sleep(0.1)


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def eventually(what: str, probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_what_a_signal_ended_counts_as_shells_count_it(machine: Target) -> None:
    with entered(machine) as node:
        assert node.run(["sh", "-c", "kill -KILL $$"]).status == 137
        assert node.run(["sh", "-c", "kill -TERM $$"]).status == 143
        assert node.run(["sh", "-c", "exit 3"]).status == 3


def test_input_goes_through_unharmed(machine: Target) -> None:
    data = os.urandom(3_000_000)
    back: list[bytes] = []
    with entered(machine) as node, node.start(["cat"]) as running:
        threading.Thread(target=running.feed_all, args=(data,), daemon=True).start()
        assert running.wait(back.append, back.append) == 0
    assert b"".join(back) == data


def test_each_stream_comes_as_it_is_said(machine: Target) -> None:
    came: list[tuple[str, float]] = []
    with entered(machine) as node, node.start(["sh", "-c", "echo a; sleep 2; echo b >&2; sleep 2"]) as running:
        running.wait(
            lambda data: came.append((f"out {data!r}", time.monotonic())),
            lambda data: came.append((f"err {data!r}", time.monotonic())),
        )
        ended = time.monotonic()
    assert [what for what, _ in came] == ["out b'a\\n'", "err b'b\\n'"]
    assert came[1][1] - came[0][1] > 1
    assert ended - came[1][1] > 1


def test_a_process_left_in_the_background_does_not_hold_the_end_up(machine: Target, tmp_path: Path) -> None:
    steps = [Step("left.sh"), Step("next.sh")]
    scripts = {"left.sh": f"sleep 100 & echo $! >{tmp_path}/pid\necho left", "next.sh": "echo next; exit 5"}
    lines: list[str] = []
    with entered(machine) as node:
        began = time.monotonic()
        result = run_all(node, scripts, steps, lambda _: None, lines.append)
        assert time.monotonic() - began < 30
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert (result.status, lines) == (5, ["== left.sh", "left", "== next.sh", "next"])


@pytest.mark.parametrize("signal", ["INT", "PIPE"])
def test_commands_are_stopped_with_all_their_processes(machine: Target, tmp_path: Path, signal: str) -> None:
    # In a separate process group, as with sudo, and one that ignores the signal.
    script = (
        f"setsid -w sleep 200 & echo $! >{tmp_path}/own; trap '' {signal}; echo $$ >{tmp_path}/deaf; wait; sleep 200"
    )
    with entered(machine) as node, node.start(["sh", "-c", script]) as running:
        eventually("it runs", lambda: (tmp_path / "deaf").exists() and (tmp_path / "deaf").read_text())
        pids = [int((tmp_path / name).read_text()) for name in ("own", "deaf")]
        assert all(alive(pid) for pid in pids)
        node.stop(signal)
        assert running.wait(lambda _: None, lambda _: None) == 137
        eventually("they are gone", lambda: not any(alive(pid) for pid in pids))
        assert node.run(["echo", "still here"]).stdout == "still here\n"


def test_a_sink_that_fails_ends_the_wait(machine: Target) -> None:
    def fail(_: bytes) -> None:
        raise BrokenPipeError

    with entered(machine) as node:
        for script in ("yes", "yes >&2"):
            with node.start(["sh", "-c", script]) as running, pytest.raises(BrokenPipeError):
                running.wait(fail, fail)
        node.stop("PIPE")


def test_a_connection_that_breaks_is_no_exit_status(machine: Target) -> None:
    with entered(machine) as node, pytest.raises(GuestError, match="connection broke while 'sh' was running"):
        node.run(["sh", "-c", "kill -KILL $PPID; sleep 100"])


def test_silence_has_a_limit_where_one_is_given(machine: Target) -> None:
    with entered(machine) as node, pytest.raises(GuestError, match="'sleep' hangs"):
        node.run(["sleep", "100"], limit=1)
