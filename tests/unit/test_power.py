"""Labs and nodes switched off and on: what is named, what is refused, and what the cluster sees."""

import json

import pytest

from labgen.machines import power
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures


@pytest.fixture(autouse=True)
def swarm_notices(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The managers see a node as down at the second look after its machine went off."""
    monkeypatch.setattr(power, "POLL", 0)
    looks: dict[str, int] = {}

    def is_off(hostname: str) -> bool:
        on = any(each.isActive() for each in host.libvirt.listAllDomains() if each.name().endswith(f"_{hostname}"))
        looks[hostname] = 0 if on else looks.get(hostname, 0) + 1
        return looks[hostname] > 1

    host.cloud.is_off = is_off


@pytest.fixture
def lab(run: Run) -> str:
    assert run("create", "three-node-btrfs-client", "--name", "lab").status == 0
    return "lab"


@pytest.fixture
def farm(run: Run) -> str:
    assert run("create", "three-node-btrfs", "--set", "nodes.manager.count=3", "--name", "farm").status == 0
    return "farm"


def without_swarm(run: Run, name: str) -> str:
    """Labs without one, because the stand-in for the host has one Swarm."""
    assert run("create", "three-node-btrfs", "--set", "orchestrator=none", "--name", name).status == 0
    return name


@pytest.fixture
def first(run: Run) -> str:
    return without_swarm(run, "first")


@pytest.fixture
def second(run: Run) -> str:
    return without_swarm(run, "second")


def machines(run: Run, lab: str) -> dict[str, str]:
    found = json.loads(run("status", lab, "--format", "json").stdout)["nodes"]
    return {node["name"]: node["state"] for node in found}


def rows(text: str) -> dict[str, tuple[str, str]]:
    return {row["node"]: (row["machine"], row["cluster"]) for row in json.loads(text)}


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_one_node_goes_off_and_comes_back(lab: str, run: Run, verb: str) -> None:
    off = run(verb, lab, "worker1", "--format", "json")
    assert rows(off.stdout) == {"worker1": ("stopped", "down")}
    assert "waiting until the Swarm has noticed" in off.stderr
    assert machines(run, lab) == {
        "manager1": "running", "worker1": "stopped", "worker2": "running", "client1": "running",
    }  # fmt: skip
    on = run("start", lab, "worker1", "--format", "json")
    assert rows(on.stdout) == {"worker1": ("running", "ready")}
    assert set(machines(run, lab).values()) == {"running"}


def test_a_restarted_node_is_ready_again(lab: str, host: Host, run: Run) -> None:
    restarted = run("restart", lab, "worker1", "worker2")
    assert restarted.stdout.splitlines()[0].split() == ["NODE", "MACHINE", "CLUSTER"]
    assert restarted.stdout.count("ready") == 2
    assert "shutting down" in restarted.stderr
    assert "powering on" in restarted.stderr


def test_a_machine_outside_the_cluster_has_no_state_there(lab: str, run: Run) -> None:
    assert rows(run("stop", lab, "client1", "--format", "json").stdout) == {"client1": ("stopped", "")}


@pytest.mark.parametrize("verb", ["stop", "kill", "restart"])
def test_the_majority_of_managers_is_not_given_up_unasked(farm: str, run: Run, verb: str) -> None:
    assert run(verb, farm, "manager1").status == 0
    assert run("start", farm).status == 0
    refused = run(verb, farm, "manager1", "manager3")
    assert refused.status == 2
    assert "1 of 3 managers would be left" in refused.stderr
    assert "--force" in refused.stderr
    assert set(machines(run, farm).values()) == {"running"}
    assert run(verb, farm, "manager1", "manager3", "--force").status == 0


def test_the_only_manager_is_a_majority(lab: str, run: Run) -> None:
    refused = run("stop", lab, "manager1")
    assert refused.status == 2
    assert "0 of 1 managers would be left" in refused.stderr


def test_managers_that_are_down_count(farm: str, run: Run) -> None:
    assert run("kill", farm, "manager2").status == 0
    assert "1 of 3 managers would be left" in run("stop", farm, "manager3").stderr
    assert run("stop", farm, "worker1", "worker2").status == 0


def test_a_swarm_that_notices_nothing_is_not_waited_for_for_ever(
    lab: str, host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "NOTICE_LIMIT", 0.05)
    host.cloud.is_off = lambda _hostname: False
    off = run("stop", lab, "worker1", "--format", "json")
    assert rows(off.stdout) == {"worker1": ("stopped", "ready")}
    assert "the Swarm has not noticed within" in off.stderr


def test_the_only_manager_leaves_nobody_who_sees(lab: str, run: Run) -> None:
    off = run("kill", lab, "manager1", "--force", "--format", "json")
    assert rows(off.stdout) == {"manager1": ("stopped", "unknown")}


def test_several_labs_and_all(first: str, second: str, run: Run) -> None:
    assert run("stop", first, second).stdout.splitlines() == ["first is stopped", "second is stopped"]
    started = run("start", "--all")
    assert started.stdout.splitlines() == ["first is running", "second is running"], started.stderr
    assert run("restart", first).stdout.splitlines() == ["first is running"]
    assert run("kill", "--all").stdout.splitlines() == ["first is off", "second is off"]
    assert run("kill", first).stdout.splitlines() == ["first is already off"]
    assert run("start", first).status == 0


def test_one_lab_that_fails_does_not_hold_the_others_up(lab: str, second: str, run: Run) -> None:
    assert run("suspend", lab).status == 0
    stopped = run("stop", lab, second)
    assert stopped.status == 2
    assert "'lab' is suspended" in stopped.stderr
    assert stopped.stdout.splitlines() == ["second is stopped"]
    assert run("kill", lab).status == 2
    again = run("stop", lab, second, "--format", "json")
    assert again.status == 2
    assert json.loads(again.stdout) == [{"lab": "second", "result": "is already stopped"}]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["lab", "worker9"], "no node named 'worker9'"),
        (["lab", "worker1", "second"], "no node named 'second'"),
        (["lab", "second", "nope"], "no lab named 'nope'"),
        (["nope"], "no lab named 'nope'"),
        ([], "specify a lab, or --all"),
        (["lab", "--all"], "specify a lab, or --all"),
    ],
)
def test_names_are_checked_before_anything_is_done(
    lab: str, second: str, run: Run, words: list[str], sentence: str
) -> None:
    for verb in ("stop", "start", "restart", "kill"):
        refused = run(verb, *words)
        assert refused.status == 2
        assert sentence in refused.stderr
    assert set(machines(run, lab).values()) == {"running"}


def test_a_node_of_a_suspended_lab_is_left_alone(lab: str, run: Run) -> None:
    assert run("suspend", lab).status == 0
    for verb in ("stop", "start", "restart", "kill"):
        refused = run(verb, lab, "worker1")
        assert refused.status == 2
        assert "labgen resume lab" in refused.stderr
