"""The checks of machines that are up: each against an ill machine's output, and the scripts in a real shell."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from labgen.cli import cli
from labgen.engine import EngineInfo
from labgen.errors import ClusterError, GuestError
from labgen.health import CHECKS, CLOCK, Finding, examine
from labgen.health.base import Seen
from labgen.health.reachability import Reachability
from labgen.lab.create import create
from labgen.lab.start import start
from labgen.machines import health
from labgen.machines.bringup import Outcome
from labgen.model import Lab, Node
from labgen.profile import load
from labgen.ssh import Result
from labgen.storage import EngineStorage
from tests.unit.examined import LIFE, certificate, well
from tests.unit.host import Host, host
from tests.unit.labs import planned
from tests.unit.test_lab import NODES, Heard, make, traces

__all__ = ["host"]  # a fixture

LAB = planned()
NODE = LAB.node("worker1")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ENGINE = EngineInfo(
    EngineStorage("btrfs", "btrfs"), "26.1.5", "6.12", "active", "", "", "id2", False, (), NODE.address
)
EXAMINE = ["examine", "10.77.0.11:22", "10.77.0.11:2377"]


def seen(**said: Sequence[str]) -> Seen:
    """A worker that is healthy except for the given output; check names with _ for spaces."""
    lines = {**well(NODE, EXAMINE), "certificate": certificate(NOW - timedelta(days=10)).splitlines()}
    lines |= {name.replace("_", " "): list(text) for name, text in said.items()}
    return Seen(LAB, NODE, NOW.timestamp(), (NOW.timestamp() - 1, NOW.timestamp() + 1), lines, ENGINE)


def judged(machine: Seen) -> dict[str, tuple[str, str]]:
    """Status and evidence by check."""
    verdicts = {check.name: check.judge(machine) for check in CHECKS}
    return {name: (verdict.status, verdict.evidence) for name, verdict in verdicts.items() if verdict}


def test_a_machine_that_is_well() -> None:
    assert judged(seen()) == {
        "clock": ("ok", "within 3 s of this host's"),
        "certificate": ("ok", "valid until 2027-02-13 12:00 UTC"),
        "disk space": ("ok", "/ has 89 % free, /var/lib/docker has 98 % free"),
        "memory": ("ok", "70 % of 976 MiB available"),
        "services": ("ok", "none failed"),
        "docker": ("ok", "answers, version 26.1.5"),
        "storage": ("ok", "btrfs on btrfs"),
        "cluster": ("ok", "is an active worker"),
        "addresses": ("ok", f"{NODE.address} on eth0"),
        "reachability": ("ok", "all 2 ports of the other nodes answer"),
    }


@pytest.mark.parametrize(
    ("off", "evidence"),
    [(-46, "45 s behind this host's"), (3602, "3601 s ahead of this host's"), (-3.5, ""), (3.5, "")],
)
def test_a_clock_that_is_wrong_by_more_than_asking_can_explain(off: float, evidence: str) -> None:
    machine = replace(seen(), clock=NOW.timestamp() + off)
    assert judged(machine)["clock"] == (("fail", evidence) if evidence else ("ok", "within 3 s of this host's"))


@pytest.mark.parametrize(
    ("begins", "status", "evidence"),
    [
        (NOW + timedelta(hours=1), "fail", "valid only from 2026-11-25 13:00 UTC"),
        (NOW - LIFE - timedelta(days=1), "fail", "expired on 2026-11-24 12:00 UTC"),
        (NOW - LIFE + timedelta(days=3), "warn", "expires on 2026-11-28 12:00 UTC, and Docker has not renewed it"),
    ],
)
def test_a_certificate_that_others_will_not_take(begins: datetime, status: str, evidence: str) -> None:
    """Followed by its issuer's, as in Docker's file."""
    text = certificate(begins) + certificate(NOW - timedelta(days=1))
    assert judged(seen(certificate=text.splitlines()))["certificate"] == (status, evidence)


HEAD = "Filesystem     1024-blocks    Used Available Capacity Mounted on"
ROOT = "/dev/vda1         10229676 1100000   8600000      12% /"


@pytest.mark.parametrize(
    ("check", "lines", "status", "evidence"),
    [
        ("disk space", [HEAD, ROOT, ROOT], "fail", "nothing is mounted at /var/lib/docker"),
        ("disk space", [HEAD, ROOT, "/dev/vdb 9 96 4 96% /var/lib/docker"], "fail",
         "/ has 89 % free, /var/lib/docker has 4 % free"),
        ("disk space", [HEAD, "/dev/vda1 9 86 14 86% /", "/dev/vdb 9 1 9 1% /var/lib/docker"], "warn",
         "/ has 14 % free, /var/lib/docker has 90 % free"),
        ("disk space", [HEAD, ROOT, "/dev/vdb 9 1 9 1% /var/lib/docker", "read-only /"], "fail",
         "mounted read-only: /"),
        ("memory", ["MemTotal: 1000000 kB", "MemAvailable: 90000 kB", "oom_kill 0"], "warn",
         "9 % of 976 MiB available"),
        ("memory", ["MemTotal: 1000000 kB", "MemAvailable: 40000 kB", "oom_kill 0"], "fail",
         "4 % of 976 MiB available"),
        ("memory", ["MemTotal: 1000000 kB", "MemAvailable: 500000 kB", "oom_kill 3"], "warn",
         "3 processes killed since the boot because memory ran out"),
        ("services", ["a.service loaded failed failed Something", "b.mount loaded failed failed Other"], "fail",
         "failed: a.service, b.mount"),
        ("addresses", ["localhost", f"eth0 {NODE.mac}"], "fail", "its host name is 'localhost'"),
        ("addresses", [NODE.name, "eth0 52:54:00:00:00:01"], "fail", f"no network card with {NODE.mac}"),
        ("addresses", [NODE.name, f"eth0 {NODE.mac}", "2: eth0    inet 10.9.9.9/24 scope global eth0"], "fail",
         f"eth0 has 10.9.9.9, not {NODE.address}"),
        ("addresses", [NODE.name, f"eth0 {NODE.mac}", f"3: br0    inet {NODE.address}/24 scope global br0"], "fail",
         f"eth0 has no address, not {NODE.address}"),
        ("reachability", ["10.77.0.11:22", "10.77.0.11:2377 Connection refused", "10.77.0.13:22 no answer in time"],
         "fail", "manager1 port 2377: Connection refused; worker2 port 22: no answer in time"),
    ],
)  # fmt: skip
def test_what_an_ill_machine_says(check: str, lines: list[str], status: str, evidence: str) -> None:
    machine = seen(**{check.replace(" ", "_"): lines})
    assert judged(machine)[check] == (status, evidence)
    (verdict,) = [each.judge(machine) for each in CHECKS if each.name == check]
    assert verdict
    assert verdict.fix


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        ("10.77.0.11:7946 Connection refused", "labgen exec lab --node manager1 -- sudo systemctl restart docker"),
        ("10.77.0.11:22 Connection refused", "labgen status lab --check, once those nodes are healthy"),
        ("10.77.0.11:7946 no answer within 10 s", "labgen status lab --check, once those nodes are healthy"),
    ],
)
def test_a_docker_that_does_not_listen_is_restarted(answer: str, fix: str) -> None:
    verdict = Reachability().judge(seen(reachability=["10.77.0.13:22", answer]))
    assert verdict
    assert verdict.fix == fix


@pytest.mark.parametrize(
    ("engine", "check", "evidence"),
    [
        (replace(ENGINE, storage=EngineStorage("vfs", "extfs")), "storage", "Docker runs on 'vfs', not on 'btrfs'"),
        (replace(ENGINE, swarm_state="error", swarm_error="certificate has expired"), "cluster",
         "its state in the Swarm is 'error' certificate has expired"),
        (replace(ENGINE, address="10.9.9.9"), "cluster", "the other nodes expect it at 10.9.9.9, not at 10.77.0.12"),
        (ClusterError("asking Docker failed"), "docker", "does not answer"),
    ],
)  # fmt: skip
def test_what_docker_says_of_an_ill_machine(engine: Any, check: str, evidence: str) -> None:
    found = judged(replace(seen(), engine=engine))
    assert found[check] == ("fail", evidence)
    assert [name for name, (status, _) in found.items() if status != "ok"] == [check]


def test_a_worker_that_was_promoted_is_well() -> None:
    assert judged(replace(seen(), engine=replace(ENGINE, is_manager=True)))["cluster"] == (
        "ok",
        "is an active manager",
    )


class Here:
    """A connection to this very host."""

    def __init__(self, change: Callable[[str], str] = lambda text: text) -> None:
        self._change = change

    def run(self, command: Sequence[str], on_line: Callable[[str], None]) -> Result:
        assert command[:3] == ["sudo", "-n", "sh"]
        ran = subprocess.run(
            ["sh", command[3], self._change(command[4]), *command[5:]], capture_output=True, text=True, check=False
        )
        on_line(ran.stdout.splitlines()[0] if ran.stdout else "")
        return Result(ran.returncode, ran.stdout, ran.stderr)


def alone(node: Node = NODE) -> Lab:
    return replace(LAB, nodes=(node,))


@pytest.fixture
def without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labgen.health.examination._docker", lambda _connection: ENGINE)


@pytest.mark.usefixtures("without_docker")
def test_one_script_asks_for_all_in_a_real_shell() -> None:
    """This host is not a machine of a lab, but its clock is right, and it has memory."""
    found = {each.check: each for each in examine(alone(), NODE, Here(), CHECKS)}  # type: ignore[arg-type]
    assert found["clock"].status == "ok"
    assert "MiB available" in found["memory"].evidence
    assert found["addresses"].evidence == f"its host name is {socket.gethostname()!r}"
    assert "reachability" not in found


@pytest.mark.usefixtures("without_docker")
def test_a_script_that_fails_does_not_end_the_others() -> None:
    broken = Here(lambda text: text.replace("df -Pk", "exit 3; df -Pk"))
    found = {each.check: each for each in examine(alone(), NODE, broken, CHECKS)}  # type: ignore[arg-type]
    assert found["disk space"].status == "fail"
    assert "MiB available" in found["memory"].evidence


def test_a_machine_that_does_not_let_us_look() -> None:
    refusing = Here(lambda _text: "echo 'sudo: a password is required' >&2; exit 1")
    with pytest.raises(GuestError) as error:
        examine(alone(), NODE, refusing, [CLOCK])  # type: ignore[arg-type]
    assert error.value.details == "sudo: a password is required"


def test_ports_are_tried_by_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as open_port, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        places = [f"127.0.0.1:{each.getsockname()[1]}" for each in (open_port, closed)]
        command = ["sh", "-c", Reachability.script, "examine", *places]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(ran.stdout.splitlines()) == sorted([places[0], f"{places[1]} Connection refused"])


def test_a_port_that_swallows_packets_does_not_hold_the_rest_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full answers no further connection."""
    with socket.socket() as full, socket.create_server(("127.0.0.1", 0)) as well_port:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            places = [f"127.0.0.1:{each.getsockname()[1]}" for each in (full, well_port)]
            script = Reachability.script.replace("+ 10", "+ 2")
            assert script != Reachability.script
            began = time.monotonic()
            command = ["sh", "-c", script, "examine", *places]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [places[1], f"{places[0]} no answer within 10 s"]
    assert time.monotonic() - began < 8


def test_start_sets_a_clock_that_stayed_behind_and_says_so(host: Host) -> None:
    make()
    host.machine("worker1").behind = 46
    heard = Heard()
    outcome = start("lab", heard)
    assert outcome.changed
    assert [host.machine(node).clock_is_set for node in NODES] == [False, True, False]
    assert heard.notes == ["worker1: its clock was 46 s behind this host's; setting it"]
    assert not start("lab", heard).changed


@pytest.mark.parametrize(
    "again",
    [
        lambda heard: create(load("three-node-btrfs"), "lab", heard),
        lambda heard: create(load("three-node-btrfs"), "lab", heard, rollback=True, cold=True),
        lambda heard: start("lab", heard),
    ],
    ids=["create", "create with rollback", "start"],
)
def test_create_and_start_name_what_they_do_not_mend(host: Host, again: Callable[[Heard], Outcome]) -> None:
    make()
    before = traces(host)
    host.machine("worker2").ill["services"] = ["cron.service loaded failed failed Cron"]
    heard = Heard()
    assert not again(heard).changed
    assert heard.notes == [
        "worker2: services: failed: cron.service."
        " labgen exec lab --node worker2 -- sudo systemctl status cron.service"
    ]
    assert traces(host) == before


def test_machines_that_cannot_be_checked_are_no_reason_to_fail(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make().journal.lab

    def broken(*_: object) -> list[Finding]:
        raise GuestError("the connection broke")

    monkeypatch.setattr(health, "examine", broken)
    heard = Heard()
    health.tell(lab, {"worker1": host.wait_for(health.target(lab, lab.node("worker1")), 1, lambda: "")}, heard)  # type: ignore[dict-item]
    assert heard.notes == ["the machines cannot be checked: the connection broke"]


def run_status(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["status", "lab", *arguments])


def test_status_check_of_a_lab_that_is_well(host: Host) -> None:
    make()
    result = run_status("--check")
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    rows = [line.split()[:3] for line in result.stdout.splitlines() if line.startswith("worker2")]
    assert ["worker2", "clock", "ok"] in rows
    assert ["worker2", "reachability", "ok"] in rows


def test_status_check_shows_scripts_what_is_wrong(host: Host) -> None:
    lab = make().journal.lab
    host.machine("worker1").behind = 46
    host.libvirt.lookupByName(lab.node("worker2").domain).destroy()
    result = run_status("--check", "--format", "json")
    assert result.exit_code == GuestError.exit_code
    wrong = [each for each in json.loads(result.stdout)["health"] if each["status"] != "ok"]
    assert wrong == [
        {"node": "worker1", "check": "clock", "status": "fail", "evidence": "46 s behind this host's",
         "fix": "labgen start lab"},
        {"node": "worker2", "check": "machine", "status": "fail", "evidence": "it is stopped",
         "fix": "labgen start lab"},
    ]  # fmt: skip
    assert not host.machine("worker1").clock_is_set


def test_status_check_wraps_what_is_long(host: Host) -> None:
    make()
    names = [f"a-service-with-a-long-name-{number}.service" for number in range(9)]
    host.machine("worker1").ill["services"] = [f"{name} loaded failed failed X" for name in names]
    result = run_status("--check")
    assert result.exit_code == GuestError.exit_code
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert all(name in result.stdout for name in names)


def test_status_check_of_a_machine_that_does_not_let_us_in(host: Host) -> None:
    make()
    host.unreachable = "worker1"
    result = run_status("--check", "--format", "json")
    found = [each for each in json.loads(result.stdout)["health"] if each["node"] == "worker1"]
    assert [(each["check"], each["evidence"]) for each in found] == [("machine", "worker1 did not answer")]


def test_status_without_check_enters_no_machine_for_it(host: Host) -> None:
    make()
    host.machine("worker1").behind = 46
    result = run_status("--format", "json")
    assert result.exit_code == 0
    assert "health" not in json.loads(result.stdout)
