"""Tasks that move to the nodes that have too few: how few have to, and that only those do."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labgen.records import changes, results
from labgen.services.balance import even, obstacle
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.small_swarm import SmallSwarm, records, swarm
from tests.unit.test_reasons import SERVICE

__all__ = ["host", "run", "swarm"]  # fixtures


def moves(tasks: dict[str, int], goal: dict[str, int]) -> int:
    return sum(max(0, tasks[node] - goal[node]) for node in tasks)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), min_size=1))
def test_an_even_spread_with_the_fewest_moves(tasks: dict[str, int]) -> None:
    goal = even(tasks)
    assert sum(goal.values()) == sum(tasks.values())
    assert max(goal.values()) - min(goal.values()) <= 1
    spreads = itertools.product(range(max(goal.values()) + 1), repeat=len(tasks))
    others = [dict(zip(tasks, each, strict=True)) for each in spreads if sum(each) == sum(tasks.values())]
    fair = [each for each in others if max(each.values()) - min(each.values()) <= 1]
    assert moves(tasks, goal) == min(moves(tasks, each) for each in fair)


def test_a_limit_per_node_that_no_even_spread_keeps() -> None:
    assert even({"a": 2, "b": 1}, most=1) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mode": "global"}, "it is global"),
        ({"preferences": ("node.labels.zone",)}, "it is spread over node.labels.zone"),
        ({"update_state": "rollback_started"}, "its update is rollback started"),
        ({}, ""),
    ],
)
def test_services_that_are_left_alone(fields: dict[str, object], words: str) -> None:
    from dataclasses import replace

    assert obstacle(replace(SERVICE, **fields)).startswith(words)  # type: ignore[arg-type]


@pytest.fixture
def lab(host: Host, swarm: SmallSwarm, run: Run) -> str:
    """After worker2 was away: 3, 3, 0."""
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    swarm.serve("web", 6)
    for availability in ("drain", "active"):
        swarm.docker("manager1", ["node", "update", "--availability", availability, "worker2"])
    assert swarm.on("web") == {"manager1": 3, "worker1": 3}
    swarm.said.clear()
    return "lab"


def availabilities(host: Host) -> set[str]:
    return {node.availability for node in host.cloud.entries.values()}


def test_only_what_has_to_move_moves_and_no_request_is_lost(
    lab: str, host: Host, swarm: SmallSwarm, run: Run
) -> None:
    former = {task.id for task in swarm.tasks() if task.state == "running"}
    done = run("rebalance", lab, "--format", "json", "--rate", "50")
    assert done.status == 0, done.stderr
    assert swarm.on("web") == {"manager1": 2, "worker1": 2, "worker2": 2}
    stayed = {task.id for task in swarm.tasks() if task.state == "running"} & former
    assert len(stayed) == 4
    assert availabilities(host) == {"active"}
    (record,) = records(done.stdout)
    assert record["verdict"] == "passed"
    assert {each["name"]: each["value"] for each in record["numbers"]} == {"tasks moved": 2, "requests lost": 0}
    assert record["tasks"]["before"] == {"manager1": 3, "worker1": 3, "worker2": 0}
    assert record["requests"]["sent"] > 0
    assert [step["command"] for step in record["steps"]][:3] == [
        "manager1$ docker node update --availability pause manager1",
        "manager1$ docker node update --availability pause worker1",
        "manager1$ docker service scale --detach web=7",
    ]
    assert "docker service scale --detach web=6" in done.stderr
    assert changes.load(lab) is None


def test_what_is_even_is_left_alone(lab: str, swarm: SmallSwarm, run: Run) -> None:
    run("rebalance", lab)
    swarm.said.clear()
    again = run("rebalance", lab, "web")
    assert again.stdout == "all services are spread evenly; nothing to do\n"
    assert swarm.said == []


def test_a_dry_run_tells_and_changes_nothing(lab: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.serve("agent", 3, mode="global", desired=3)
    told = run("rebalance", lab, "--dry-run")
    lines = [line.split("  ") for line in told.stdout.splitlines()]
    assert "manager1 3, worker1 3, worker2 0" in told.stdout
    assert "manager1 2, worker1 2, worker2 2" in told.stdout
    assert lines[1][-1].strip() == "2"
    assert "agent is left alone: it is global" in told.stderr
    assert swarm.said == []
    assert results.every(lab) == []


def test_by_force_everything_is_replaced(lab: str, swarm: SmallSwarm, run: Run) -> None:
    former = {task.id for task in swarm.tasks() if task.state == "running"}
    done = run("rebalance", lab, "--force", "--format", "json")
    assert not former & {task.id for task in swarm.tasks() if task.state == "running"}
    (record,) = records(done.stdout)
    assert {each["name"]: each["value"] for each in record["numbers"]}["tasks moved"] == 6
    assert "every one has been replaced" in record["hypothesis"]


def test_a_task_that_does_not_start_leaves_all_as_it_was(
    lab: str, host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labgen.drills.nodes.RUN_LIMIT", 0.3)
    swarm.stuck = True
    done = run("rebalance", lab)
    assert done.status == 60
    assert "a further task of web does not start" in done.stderr
    assert "labgen why lab web" in done.stderr
    assert swarm.settings("web") == {"replicas": 6}
    assert availabilities(host) == {"active"}
    assert [each.verdict for each in results.every(lab)] == ["failed"]


def test_a_service_that_is_not_there(lab: str, run: Run) -> None:
    refused = run("rebalance", lab, "wep")
    assert refused.status == 2
    assert "has no service named 'wep'" in refused.stderr
