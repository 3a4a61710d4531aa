"""A lab whose private key is missing: every verb that needs it reports that, and nothing is discarded for it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from labgen import paths, ssh
from labgen.lab.stop import stop
from labgen.progress import Silent
from labgen.records import journals
from tests.unit.commands import Ran, Run, run
from tests.unit.host import Host, host
from tests.unit.test_lab import NODES, make, traces

__all__ = ["host", "run"]  # fixtures

# The host's stand-ins do not need a key.
OPEN, WAIT_FOR = ssh.Connection.open, ssh.wait_for


@pytest.fixture
def key(host: Host, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The former path of the key of a running lab."""
    make()
    monkeypatch.setattr(ssh.Connection, "open", OPEN)
    monkeypatch.setattr(ssh, "wait_for", WAIT_FOR)
    path = paths.lab("lab") / paths.KEY
    path.rename(path.with_name("elsewhere"))
    return path


def explained(ran: Ran, key: Path) -> None:
    assert ran.status == 50
    assert "the private key of the lab is missing" in f"{ran.stderr} {' '.join(ran.stdout.split())}"
    assert f"Restore {key}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not paths.fault().exists()


@pytest.mark.parametrize("with_public_half", [True, False])
@pytest.mark.parametrize(
    "command",
    [
        ["exec", "lab", "--", "true"],
        ["exec", "lab", "--node", "worker1", "--", "true"],
        ["ssh", "lab"],
        ["ssh", "lab", "worker1", "--", "true"],
        ["start", "lab"],
        ["resume", "lab"],
        ["create", "three-node-btrfs", "--name", "lab"],
        ["create", "three-node-btrfs", "--name", "lab", "--on-failure", "rollback"],
    ],
    ids=" ".join,
)
def test_it_is_said_with_the_way_out_and_nothing_is_lost(
    host: Host, key: Path, run: Run, monkeypatch: pytest.MonkeyPatch, command: Sequence[str], with_public_half: bool
) -> None:
    if not with_public_half:
        key.with_suffix(".pub").unlink()
    before = traces(host)
    monkeypatch.setattr(os, "execvp", lambda *_: pytest.fail("ssh without a key"))
    explained(run(*command), key)
    assert traces(host) == before
    assert not key.exists()


@pytest.mark.parametrize(
    "options", [["-i", "mine"], ["-imine"], ["-F", "mine"], ["-o", "IdentityFile=mine"]], ids=" ".join
)
def test_who_brings_a_key_of_their_own_is_let_through(
    host: Host, key: Path, run: Run, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda _program, arguments: called.append(arguments))
    assert run("ssh", "lab", "worker1", *options).status == 0
    assert called[0][3 : 3 + len(options)] == options


def test_no_disk_is_given_up_for_a_node_that_could_not_be_entered(host: Host, key: Path, run: Run) -> None:
    before = traces(host)
    explained(run("rebuild", "lab", "worker1", "--yes"), key)
    assert traces(host) == before
    assert not journals.load("lab").rebuilding


def test_a_lab_that_is_off_stays_off(host: Host, key: Path, run: Run) -> None:
    stop("lab", Silent())
    before = traces(host)
    explained(run("start", "lab"), key)
    assert traces(host) == before
    assert not [each.name() for each in host.libvirt.listAllDomains() if each.isActive() and each.name() != "test"]


def test_a_check_names_it_for_every_node(host: Host, key: Path, run: Run) -> None:
    before = traces(host)
    explained(run("status", "lab", "--check"), key)
    shown = run("status", "lab", "--check", "--format", "json")
    assert shown.status == 50
    found = json.loads(shown.stdout)["health"]
    assert [each["node"] for each in found] == list(NODES)
    assert {(each["check"], each["status"]) for each in found} == {("machine", "fail")}
    assert all("private key" in each["evidence"] for each in found)
    assert all(each["fix"].startswith(f"Restore {key}") for each in found)
    assert traces(host) == before


def test_once_it_is_back_all_is_well(host: Host, key: Path, run: Run) -> None:
    assert run("start", "lab").status == 50
    key.with_name("elsewhere").rename(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh, "wait_for", host.wait_for)
        assert "nothing to do" in run("start", "lab").stdout
