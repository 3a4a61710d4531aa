"""Entering machines like users: through pipes, with Ctrl-C, with plain ssh and with Ansible."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import LABGEN, NODES, eventually, labgen, names, node_output, virsh

MANY_KEYS = 8  # OpenSSH's server lets a client try six
LOST_LIMIT = 300  # seconds; labgen considers a machine lost after 60 without an answer
RUNS = "pgrep -cfx 'sleep 4321' || true"


@pytest.fixture
def crowded_agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh-agent that offers more keys than a server allows."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        eventually("the agent listens", socket.exists)
        for number in range(MANY_KEYS):
            key = tmp_path / f"key{number}"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True)
        yield str(socket)
        agent.terminate()


def test_input_goes_to_every_node_and_a_reader_may_leave(lab: str) -> None:
    fed = subprocess.run(
        [*LABGEN, "exec", lab, "--", "wc", "-c"], input=b"x" * 300000, capture_output=True, check=True
    )
    assert sorted(fed.stdout.decode().splitlines()) == [f"{node}: 300000" for node in NODES]
    with subprocess.Popen([*LABGEN, "exec", lab, "--", "yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as yes:
        assert yes.stdout and yes.stderr
        yes.stdout.readline()
        yes.stdout.close()
        assert yes.stderr.read() == b""
    assert yes.returncode == 141
    assert "yes" not in labgen("exec", lab, "--", "ps", "-eo", "comm=").stdout.split()


def test_ctrl_c_ends_what_sudo_runs_on_the_nodes(lab: str) -> None:
    command = [*LABGEN, "exec", lab, "--node", "worker1", "--", "sudo", "sh", "-c", "sleep 4321; true"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        eventually("it runs", lambda: node_output(lab, "worker1", "sh", "-c", RUNS) == "1")
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=120)
    assert (running.returncode, errors.strip()) == (130, "interrupted")
    assert node_output(lab, "worker1", "sh", "-c", RUNS) == "0"
    assert labgen("exec", lab, "--node", "worker1", "--", "sh", "-c", "kill -KILL $$", check=False).status == 137


def test_a_process_left_in_the_background_does_not_hold_exec_up(lab: str) -> None:
    began = time.monotonic()
    assert node_output(lab, "worker1", "sh", "-c", "sleep 4321 & echo left") == "left"
    assert time.monotonic() - began < 60
    node_output(lab, "worker1", "pkill", "-fx", "sleep 4321")


@pytest.mark.slow
def test_a_machine_that_is_lost_while_a_command_runs_is_named(lab: str) -> None:
    domain = next(name for name in names("list") if name.endswith(f"_{lab}_worker1"))
    command = [*LABGEN, "exec", lab, "--node", "worker1", "--", "sleep", "4321"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        eventually("it runs", lambda: node_output(lab, "worker1", "sh", "-c", RUNS) == "1")
        virsh("suspend", domain)
        try:
            _, errors = running.communicate(timeout=LOST_LIMIT)
        finally:
            virsh("resume", domain)
    assert running.returncode == 50
    assert "worker1" in errors
    node_output(lab, "worker1", "pkill", "-fx", "sleep 4321")
    labgen("start", lab)


def test_ssh_takes_a_command_and_options_and_so_does_plain_ssh(
    lab: str, tmp_path: Path, crowded_agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", crowded_agent)
    assert labgen("ssh", lab, "--", "hostname").stdout == "manager1\n"
    assert labgen("ssh", lab, "-o", "ConnectTimeout=60", "worker1", "--", "hostname").stdout == "worker1\n"
    config = tmp_path / "config"
    config.write_text(f'Include "{os.environ["LABGEN_HOME"]}/data/labs/*/ssh_config"\n')
    plain = subprocess.run(
        ["ssh", "-F", config, f"worker2.{lab}", "hostname"], capture_output=True, text=True, check=True
    )
    assert plain.stdout == "worker2\n"


def test_the_documented_use_of_ansible(lab: str, tmp_path: Path, crowded_agent: str) -> None:
    hosts = tmp_path / "hosts.ini"
    hosts.write_text(labgen("inventory", lab).stdout)
    ansible = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [ansible, "-i", hosts, "all", "-m", "ping"],
        env={**os.environ, "HOME": str(tmp_path), "ANSIBLE_TIMEOUT": "60", "SSH_AUTH_SOCK": crowded_agent},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(NODES)
    assert "WARNING" not in done.stdout + done.stderr


def test_a_user_of_a_machine_finds_what_debian_has(lab: str) -> None:
    script = (
        "set -e; ping -c1 -w20 worker1 >/dev/null; locale | head -1; docker compose version >/dev/null; sudo true;"
        " for p in dig less lsof nano nc killall python3 sudo vi; do command -v $p >/dev/null || echo no $p; done"
    )
    assert node_output(lab, "manager1", "bash", "-c", script) == "LANG=C.UTF-8"
