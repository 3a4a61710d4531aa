"""The Swarm's recipe, against engines that behave like Docker's. tests/vm uses the real ones."""

import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from labgen import engine
from labgen.engine import JoinTokens, SwarmNode
from labgen.errors import ClusterError
from labgen.orchestrators import ORCHESTRATORS, swarm, swarm_moved, swarm_words
from labgen.progress import Progress, Silent
from tests.unit.engines import Cloud, FakeEngine
from tests.unit.labs import planned

LAB = replace(
    planned(reference="five-node-ha"),
    nodes=tuple(replace(node, labels={"zone": node.name}) for node in planned(reference="five-node-ha").nodes),
)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeEngine]:
    cloud = Cloud()
    fakes = {node.name: FakeEngine(node.name, cloud) for node in LAB.nodes}

    @contextmanager
    def connect(fake: FakeEngine, limit: float = 0) -> Iterator[FakeEngine]:
        yield fake

    monkeypatch.setattr(engine, "connect", connect)
    monkeypatch.setattr(swarm, "POLL", 0)
    return fakes


def form(engines: Mapping[str, Any], empty: Collection[str] = ()) -> bool:
    """:param empty: the nodes that have nothing to lose; all of them, before there is any Swarm."""
    if not next(iter(engines.values())).cloud.entries:
        empty = {node.name for node in LAB.nodes}
    return ORCHESTRATORS["swarm"].form(LAB, engines, Silent(), empty=empty)


def entries(engines: Mapping[str, FakeEngine]) -> dict[str, SwarmNode]:
    return {entry.hostname: entry for entry in engines["manager1"].cloud.entries.values()}


def test_a_new_swarm_has_all_nodes_with_their_roles_and_labels(engines: dict[str, FakeEngine]) -> None:
    assert form(engines)
    assert {name: (entry.role, entry.labels) for name, entry in entries(engines).items()} == {
        node.name: (node.role, node.labels) for node in LAB.nodes
    }
    assert engines["manager1"].calls[0] == f"init {LAB.nodes[0].address} {swarm_words.OVERLAY_POOL}"


def test_managers_join_one_after_the_other(engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = threading.Lock()
    join = FakeEngine.swarm_join

    def slowly(self: FakeEngine, address: str, manager: str, token: str) -> None:
        if token == "manager":
            assert alone.acquire(blocking=False), "two managers join at once"
            time.sleep(0.1)
            alone.release()
        join(self, address, manager, token)

    monkeypatch.setattr(FakeEngine, "swarm_join", slowly)
    assert form(engines)
    assert len(entries(engines)) == len(LAB.nodes)


def join_that_fails(monkeypatch: pytest.MonkeyPatch, *, goes_on: bool) -> None:
    """Of the last manager; Docker may go on joining in the background: pending, in error, and then active."""
    join = FakeEngine.swarm_join

    def fail(self: FakeEngine, address: str, manager: str, token: str) -> None:
        if self.name != "manager3":
            return join(self, address, manager, token)
        if goes_on:
            join(self, address, manager, token)
            self.looks_for = (manager,)
            states = iter(["error", ""])

            def next_state(_seconds: float) -> None:
                self.looks_for, self.trouble = (), next(states, "")

            monkeypatch.setattr(swarm.time, "sleep", next_state)
        raise ClusterError("manager3: joining the Swarm failed", "Timeout was reached before node joined.")

    monkeypatch.setattr(FakeEngine, "swarm_join", fail)


def test_a_join_that_goes_on_in_the_background_is_waited_for(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    join_that_fails(monkeypatch, goes_on=True)
    assert form(engines)
    assert engines["manager3"].info().swarm_state == "active"
    assert len(entries(engines)) == len(LAB.nodes)


def test_a_join_that_is_refused_is_an_error(engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    join_that_fails(monkeypatch, goes_on=False)
    with pytest.raises(ClusterError, match="manager3: joining the Swarm failed") as caught:
        form(engines)
    assert "docker info reports inactive" in caught.value.details


def test_a_worker_that_looks_where_no_manager_is_any_more_is_told(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still the same node, with the labels that a user gave it."""
    form(engines)
    worker, cloud = engines["worker1"], engines["manager1"].cloud
    cloud.entries[worker.node_id] = replace(cloud.entries[worker.node_id], state="down", labels={"mine": "yes"})
    worker.looks_for = ("10.99.0.11",)
    before = worker.node_id
    monkeypatch.setattr(swarm.time, "sleep", lambda _seconds: pytest.fail("it waited"))
    assert form(engines)
    assert not form(engines)
    managers = [{"node_id": engines[node.name].node_id, "addr": f"{node.address}:2377"} for node in LAB.managers]
    assert worker.calls[-1] == f"managers {json.dumps(managers)}"
    assert worker.node_id == before
    assert cloud.entries[before].labels == {"mine": "yes"}


def move(engines: Mapping[str, Any]) -> list[str]:
    """:return: what was noted."""
    notes: list[str] = []
    ORCHESTRATORS["swarm"].move(LAB, engines, Progress(lambda event: notes.append(event.text)))
    return notes


def test_a_lab_with_other_addresses_keeps_its_first_managers_swarm(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    move(engines)
    assert engines["manager1"].calls[-1] == f"take over {LAB.nodes[0].address}"
    assert {engines[node.name].calls[-1] for node in LAB.nodes[1:]} == {"leave"}


@pytest.mark.parametrize("trouble", [{"stuck": True}, {"gossips": False}], ids=["cannot stop", "no gossip"])
def test_a_manager_that_cannot_be_taken_over_is_restarted_once(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch, trouble: dict[str, bool]
) -> None:
    form(engines)
    manager = engines["manager1"]
    monkeypatch.setattr(swarm_moved, "GOSSIP_LIMIT", 0)
    vars(manager).update(trouble)
    take_over = f"take over {LAB.nodes[0].address}"
    notes = move(engines)
    assert manager.calls[-3:] == [take_over, "restart", take_over]
    assert any("context deadline exceeded" in note or "port 7946" in note for note in notes)
    assert any("stops its containers" in note for note in notes)


@pytest.mark.parametrize("state", ["locked", "error"])
def test_a_manager_that_a_restart_does_not_cure_is_left_running(engines: dict[str, FakeEngine], state: str) -> None:
    form(engines)
    manager = engines["manager1"]
    manager.stuck, manager.trouble = True, state
    with pytest.raises(ClusterError, match="taking the Swarm over failed"):
        move(engines)
    assert "restart" not in manager.calls
    assert "leave" not in engines["worker1"].calls


def test_a_manager_that_stays_without_gossip_is_named(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    form(engines)
    monkeypatch.setattr(swarm_moved, "GOSSIP_LIMIT", 0)
    manager = engines["manager1"]
    manager.gossips, manager.broken = False, "no space left on device"
    with pytest.raises(ClusterError, match="manager1 could not be restarted") as caught:
        move(engines)
    assert caught.value.details == "no space left on device"
    assert "leave" not in engines["worker1"].calls


def test_a_worker_that_cannot_be_told_is_named(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    worker = engines["worker1"]
    worker.looks_for = ("10.99.0.11",)
    worker.broken = "no space left on device"
    with pytest.raises(ClusterError, match="worker1 could not be given the addresses") as caught:
        form(engines)
    assert caught.value.details == "no space left on device"


def test_a_manager_and_a_strangers_worker_are_not_told(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    engines["manager2"].looks_for = engines["worker1"].looks_for = ("10.99.0.11",)
    engines["worker1"].node_id = "of another cluster"
    with pytest.raises(ClusterError, match="does not work on manager2, worker1"):
        form(engines)
    assert not any(call.startswith("managers") for fake in engines.values() for call in fake.calls)


def test_a_node_that_has_not_found_its_manager_yet_is_waited_for(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    form(engines)
    engines["worker1"].calls.clear()
    engines["worker1"].looks_for = (LAB.managers[0].address,)

    def find(_seconds: float) -> None:
        engines["worker1"].looks_for = ()

    monkeypatch.setattr(swarm.time, "sleep", find)
    assert not form(engines)
    assert engines["worker1"].calls == []


def test_a_whole_swarm_is_left_alone(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    for fake in engines.values():
        fake.calls.clear()
    assert not form(engines)
    assert all(fake.calls == [] for fake in engines.values())


def test_a_node_that_left_joins_again_and_leaves_no_dead_entry(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    engines["worker1"].swarm_leave()
    assert form(engines)
    assert entries(engines)["worker1"].state == "ready"
    assert len(engines["manager1"].cloud.entries) == len(LAB.nodes)


def test_the_entry_of_a_join_whose_answer_was_lost_is_removed(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    all_entries = engines["manager1"].cloud.entries
    whole = set(all_entries)
    worker = all_entries[engines["worker1"].node_id]
    all_entries["lost"] = replace(worker, id="lost", hostname="", state="unknown")
    all_entries["guest"] = replace(worker, id="guest", hostname="somebody-elses")
    form(engines)
    assert set(all_entries) == {*whole, "guest"}


def test_a_node_of_a_foreign_swarm_is_taken_over_only_if_it_holds_nothing(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    engines["worker2"].node_id = "of another cluster"
    with pytest.raises(ClusterError, match="worker2 is in a Swarm that manager1 does not know") as caught:
        form(engines)
    assert "docker swarm leave --force" in caught.value.resolution
    assert engines["worker2"].node_id == "of another cluster"
    assert form(engines, empty=["worker2"])
    assert entries(engines)["worker2"].id == engines["worker2"].node_id


def test_the_first_manager_may_be_the_one_that_is_new(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    engines["manager1"].swarm_leave()
    assert form(engines)
    assert not any(call.startswith("init") for call in engines["manager1"].calls[1:])
    assert len(engines["manager1"].cloud.entries) == len(LAB.nodes)


def test_managers_without_a_leader_are_waited_for(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    engines["manager1"].cloud.leaderless_calls = 3
    assert not form(engines)


def test_a_node_that_never_gets_ready_is_named(
    engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    form(engines)
    cloud = engines["manager1"].cloud
    node_id = engines["worker1"].node_id
    cloud.entries[node_id] = replace(cloud.entries[node_id], state="unknown")
    monkeypatch.setattr(swarm, "READY_LIMIT", -1)
    with pytest.raises(ClusterError) as caught:
        form(engines)
    assert "worker1: unknown" in caught.value.details
    assert "worker1" in caught.value.resolution


def test_tokens_are_not_shown() -> None:
    assert "SWMTKN" not in repr(JoinTokens({"manager": "SWMTKN-1", "worker": "SWMTKN-2"}))


def test_members_prefer_the_living_entry(engines: dict[str, FakeEngine]) -> None:
    form(engines)
    gone = engines["worker1"].node_id
    engines["manager1"].cloud.entries[gone] = replace(engines["manager1"].cloud.entries[gone], state="down")
    engines["worker1"].swarm_leave()
    engines["worker1"].swarm_join("", "", "worker")
    members = ORCHESTRATORS["swarm"].members(LAB, engines["manager1"])  # type: ignore[arg-type]
    assert members["worker1"].state == "ready"
    assert [name for name, member in members.items() if member.leader] == ["manager1"]
