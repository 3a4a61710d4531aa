"""A node whose machine or disk is missing: each verb reports which, and how to rebuild it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labgen.errors import HypervisorError
from labgen.host import LOCAL
from labgen.lab import status
from labgen.lab.create import create
from labgen.lab.rebuild import losses, rebuild
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.lab.suspend import suspend
from labgen.machines.access import why_off
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import checkpoints, journals
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.test_lab import Heard, make, traces
from tests.unit.test_moments import snapshots
from tests.unit.test_repair import lose_all_of_a_node, lose_docker_disk, lose_domain, lose_root_disk

__all__ = ["host", "run"]  # fixtures

WAY = "labgen rebuild lab worker1"
MACHINE = "worker1: the machine {domain} is not defined in libvirt"
ROOT_DISK = "worker1: its root disk {pool}/{domain}.img is missing"
DOCKER_DISK = "worker1: its docker disk {pool}/{domain}-vdb.qcow2 is missing"
LOST: dict[Callable[[Host], None], set[str]] = {
    lose_domain: {MACHINE},
    lose_root_disk: {ROOT_DISK},
    lose_docker_disk: {DOCKER_DISK},
    lose_all_of_a_node: {MACHINE, ROOT_DISK, DOCKER_DISK},
}
REFUSING = [
    ["start", "lab"],
    ["resume", "lab"],
    ["create", "three-node-btrfs", "--name", "lab"],
    ["checkpoint", "save", "lab", "kept"],
    ["export", "lab", "-o", "lab.labgen"],
    ["export", "lab", "-o", "lab.labgen", "--depth", "running"],
]


@pytest.mark.parametrize("lose", LOST)
@pytest.mark.parametrize("command", REFUSING, ids=" ".join)
def test_what_needs_the_whole_lab_refuses_and_names_what_is_missing(
    host: Host,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    lose: Callable[[Host], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    lab = make().journal.lab
    lose(host)
    before, states = traces(host), status.status("lab").states
    refused = run(*command)
    assert refused.status == 40, refused.stderr
    assert "worker1 of 'lab' is incomplete" in refused.stderr
    named = {line.strip() for line in refused.stderr.splitlines() if line.startswith("  worker1: ")}
    assert {each for each in named if "still runs" not in each} == {
        each.format(domain=lab.node("worker1").domain, pool=LOCAL.libvirt.directory) for each in LOST[lose]
    }
    assert WAY in refused.stderr.splitlines()
    assert "Nothing was changed." in refused.stderr
    assert (traces(host), status.status("lab").states) == (before, states)
    assert checkpoints.every("lab") == []
    assert snapshots(host) == set()
    assert list(tmp_path.glob("*.labgen*")) == []


def test_several_are_named_each_with_its_command(host: Host, run: Run) -> None:
    make()
    lose_domain(host)
    lab = journals.load("lab").lab
    with LOCAL.connect() as hypervisor:
        hypervisor.remove_domain(lab.node("worker2").domain)
    refused = run("checkpoint", "save", "lab", "kept")
    assert refused.status == 40
    assert "worker1, worker2 of 'lab' are incomplete" in refused.stderr
    assert {WAY, "labgen rebuild lab worker2"} <= set(refused.stderr.splitlines())


@pytest.mark.parametrize(("verb", "state"), [("stop", "stopped"), ("suspend", "suspended")])
def test_what_needs_no_whole_lab_does_its_work_on_the_others(host: Host, run: Run, verb: str, state: str) -> None:
    make()
    lose_domain(host)
    disks = host.volumes()
    domain = journals.load("lab").lab.node("worker1").domain
    ended = run(verb, "lab")
    assert ended.status == 0, ended.stderr
    assert ended.stdout == f"lab is {state}\n"
    (note,) = [line for line in ended.stderr.splitlines() if domain in line]
    assert f"worker1 has no machine: {domain} is not defined in libvirt" in note
    assert note.endswith(WAY)
    assert status.status("lab").states == {"manager1": state, "worker1": "failed", "worker2": state}
    assert host.volumes() == disks
    again = run(verb, "lab")
    if verb == "stop":
        assert "is already stopped" in again.stdout
    assert WAY in again.stderr


@pytest.mark.parametrize("off", [stop, suspend])
def test_after_the_advice_was_taken_all_of_the_lab_runs(host: Host, off: Callable[..., bool]) -> None:
    make()
    disks = host.volumes()
    lose_domain(host)
    off("lab", Silent())
    rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    assert set(status.status("lab").states.values()) == {"running"}
    assert host.volumes() == disks
    assert not start("lab", Silent()).changed


@pytest.mark.parametrize("off", [stop, suspend])
def test_a_lab_that_has_all_its_machines_gets_no_advice(host: Host, off: Callable[..., bool]) -> None:
    make()
    heard = Heard()
    off("lab", heard)
    assert heard.notes == []


def test_a_machine_whose_name_begins_as_the_missing_one_is_not_taken_for_it(host: Host) -> None:
    create(load("three-node-btrfs", ("nodes.worker.count=10",)), "lab", Silent(), cold=True)
    lose_domain(host)
    heard = Heard()
    assert stop("lab", heard)
    assert [note.partition(" ")[0] for note in heard.notes] == ["worker1"]


def test_a_node_of_a_lab_that_was_never_finished_is_made_by_start(host: Host) -> None:
    host.boots = 2
    with pytest.raises(HypervisorError, match="booting"):
        make()
    heard = Heard()
    assert stop("lab", heard)
    (note,) = heard.notes
    assert "worker2 has no machine" in note
    assert note.endswith("labgen start lab")


def test_who_cannot_be_entered_for_want_of_a_machine_is_named(host: Host, run: Run) -> None:
    lab = make().journal.lab
    lose_domain(host)
    reason = why_off(lab, lab.node("worker1"))
    assert reason is not None
    assert reason.resolution == WAY
    for command in (
        ["ssh", "lab", "worker1"],
        ["exec", "lab", "--node", "worker1", "--", "true"],
        ["exec", "lab", "--", "true"],
    ):
        refused = run(*command)
        assert refused.status == 50
        assert "worker1 of 'lab' has no machine" in refused.stderr
        assert f"libvirt has no domain {lab.node('worker1').domain}" in refused.stderr
        assert WAY in refused.stderr.splitlines()
    assert why_off(lab, lab.node("worker2")) is None
