"""Drills in a lab without machines: what is refused, what is measured, and that everything is put back."""

import json
from types import SimpleNamespace

import pytest

from labgen import drills, paths
from labgen.drills import client_address, nodes, predictions, stage
from labgen.drills.happenings import happenings
from labgen.drills.overlay import _finding, _lost
from labgen.drills.page import Fact
from labgen.drills.stage import Stage
from labgen.machines import putting_back
from labgen.model import Node
from labgen.records import changes, results
from labgen.records.changes import Change, Changes
from labgen.records.results import Step
from labgen.services.view import View
from labgen.ssh import Result
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.small_swarm import SmallSwarm, records, swarm
from tests.unit.test_reasons import NODES, SERVICE, node, task

__all__ = ["host", "run", "swarm"]  # fixtures


@pytest.fixture
def lab(host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    swarm.serve("web", 6)
    monkeypatch.setattr("labgen.drills.drain.WATCH", 0.1)
    return "lab"


def machines(host: Host) -> dict[str, bool]:
    """Whether each runs, by node."""
    found = {each.name().rpartition("_")[2]: bool(each.isActive()) for each in host.libvirt.listAllDomains()}
    return {name: found[name] for name in ("manager1", "worker1", "worker2")}


def numbers(record: dict[str, object]) -> dict[str, object]:
    return {each["name"]: each["value"] for each in record["numbers"]}  # type: ignore[attr-defined]


def test_power_off(lab: str, host: Host, swarm: SmallSwarm, run: Run) -> None:
    done = run("drill", lab, "power-off", "--format", "json", "--rate", "50")
    assert done.status == 0, done.stderr
    (record,) = records(done.stdout)
    assert record["verdict"] == "passed"
    assert record["service"] == "web"
    assert record["tasks"]["before"] == {"manager1": 2, "worker1": 2, "worker2": 2}
    assert record["tasks"]["after"] == {"manager1": 3, "worker1": 0, "worker2": 3}
    assert {"detected after", "tasks run elsewhere after", "answering again after"} <= numbers(record).keys()
    expected = {each["name"]: each["expected"] for each in record["numbers"]}
    assert expected["detected after"] == "8-16.5 s: 3 heartbeats of 5 s since the last"
    assert machines(host) == {"manager1": True, "worker1": True, "worker2": True}
    assert [step["command"].split()[:3] for step in record["steps"] if step["command"]] == [
        ["host$", "virsh", "destroy"],
        ["host$", "virsh", "start"],
    ]
    assert "worker1 is down, active" in [each["text"] for each in record["happenings"]]
    assert record["requests"]["sent"] > 0
    assert set(record["requests"]["targets"]) == {"manager1", "worker2"}
    assert changes.load(lab) is None
    assert results.every(lab)[-1].verdict == "passed"


def test_drain(lab: str, host: Host, swarm: SmallSwarm, run: Run) -> None:
    done = run("drill", lab, "drain")
    assert done.status == 0, done.stderr
    assert "manager1$ docker node update --availability drain worker1" in done.stderr
    assert "yes  nothing returns by itself (worker1 has 0 tasks)" in done.stdout
    assert {each.availability for each in host.cloud.entries.values()} == {"active"}
    assert done.stdout.splitlines()[-1] == "drill drain: passed"


def test_scale(lab: str, swarm: SmallSwarm, run: Run) -> None:
    (record,) = records(run("drill", lab, "scale", "--format", "json").stdout)
    assert record["verdict"] == "passed"
    assert record["tasks"]["during"] == {"manager1": 3, "worker1": 3, "worker2": 3}
    assert swarm.settings("web") == {"replicas": 6}


def test_partition(lab: str, host: Host, run: Run) -> None:
    (record,) = records(run("drill", lab, "partition", "--format", "json").stdout)
    assert record["verdict"] == "passed", record["checks"]
    assert numbers(record)["copies that run on the lost node"] == 2
    assert host.unplugged == set()
    assert [step["command"].split()[-1] for step in record["steps"] if "domif-setlink" in step["command"]] == [
        "down",
        "up",
    ]


def test_limits(lab: str, swarm: SmallSwarm, run: Run) -> None:
    done = run("drill", lab, "limits", "--format", "json")
    assert done.status == 0, done.stderr
    (record,) = records(done.stdout)
    assert record["verdict"] == "passed", record["checks"]
    assert [check["passed"] for check in record["checks"]] == [True, True]
    assert "insufficient resources" in record["checks"][0]["evidence"]
    assert f"--reserve-memory {int(0.6 * 2**30)} app:1" in record["steps"][1]["command"]
    assert [each.name for each in swarm.running] == ["web"]


@pytest.mark.parametrize(("in_mesh", "verdict"), [("10.0.0.3", "passed"), ("10.77.0.1", "failed")])
def test_client_address(lab: str, run: Run, monkeypatch: pytest.MonkeyPatch, in_mesh: str, verdict: str) -> None:
    def answer(_node: Node, port: int, word: str, _limit: float) -> Fact:
        assert word == "client"
        return Fact(in_mesh if port == client_address.PORTS[client_address.MESH] else "10.77.0.1", "10.77.0.1")

    monkeypatch.setattr(client_address, "fact", answer)
    monkeypatch.setattr("labgen.drills.extras.bring_image", lambda _stage: "localhost/hello:1")
    (record,) = records(run("drill", lab, "client-address", "--format", "json").stdout)
    assert record["verdict"] == verdict
    assert [check["passed"] for check in record["checks"]] == [verdict == "passed", True]
    assert "labgen-drill-host on worker2 sees 10.77.0.1; the client has 10.77.0.1" in [
        step["text"] for step in record["steps"]
    ]


@pytest.fixture
def farm(host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    host.driver = "overlay2"
    assert run("create", "five-node-ha", "--name", "farm").status == 0
    swarm.serve("web", 5)
    monkeypatch.setattr("labgen.drills.quorum_loss.WATCH", 0.1)
    return "farm"


def test_quorum_loss(farm: str, host: Host, swarm: SmallSwarm, run: Run) -> None:
    refused = run("drill", farm, "quorum-loss")
    assert refused.status == 2
    assert "add --force" in refused.stderr
    done = run("drill", farm, "quorum-loss", "--force", "--format", "json")
    assert done.status == 0, done.stderr
    (record,) = records(done.stdout)
    assert "The swarm does not have a leader." in [step["output"] for step in record["steps"]]
    assert "swarm init --force-new-cluster --advertise-addr 10.77.0.11" in swarm.said
    assert [host.engine(name).calls[-2:] for name in ("manager2", "manager3")] == [
        ["leave", "join 10.77.0.11 manager"],
        ["leave", "join 10.77.0.11 manager"],
    ]
    assert sorted(each.hostname for each in host.cloud.entries.values()) == [
        "manager1", "manager2", "manager3", "worker1", "worker2",
    ]  # fmt: skip
    assert host.unplugged == set()
    assert changes.load(farm) is None


@pytest.mark.parametrize("name", ["power-off", "partition"])
def test_a_node_that_has_the_majority_is_not_taken_away_unasked(
    host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    nodes_of = "nodes={manager: {count: 2, role: manager}}"
    assert run("create", "three-node-btrfs", "--name", "pair", "--set", nodes_of).status == 0
    swarm.serve("web", 4)
    refused = run("drill", "pair", name)
    assert refused.status == 2
    assert "this drill takes manager2 away, and with it the majority of the managers" in refused.stderr
    assert all(each.isActive() for each in host.libvirt.listAllDomains())
    assert not host.unplugged
    assert changes.load("pair") is None
    for limit in ("NOTICE_LIMIT", "RUN_LIMIT", "BOOT_LIMIT"):
        monkeypatch.setattr(nodes, limit, 0.3)
    forced = run("drill", "pair", name, "--force")
    assert "of manager2" in forced.stderr
    assert "add --force" not in forced.stderr


def test_managers_that_were_lost_for_good_join_again_after_a_kill(
    farm: str, host: Host, swarm: SmallSwarm, run: Run
) -> None:
    """It was killed before the new cluster began: the next command begins it."""
    made = [Change("power", name) for name in ("manager2", "manager3")]
    made += [Change("rejoin", name, "manager1") for name in ("manager2", "manager3")]
    changes.save(farm, Changes("labgen drill farm quorum-loss", tuple(made)))
    for each in host.libvirt.listAllDomains():
        if each.name().endswith(("_manager2", "_manager3")):
            each.destroy()
    host.engine("manager1").takes_over = True
    done = run("start", farm)
    assert done.status == 0, done.stderr
    assert "take over 10.77.0.11" in host.engine("manager1").calls
    assert {each.role for each in host.cloud.entries.values() if each.hostname.startswith("manager")} == {"manager"}
    assert changes.load(farm) is None


def test_a_manager_that_has_joined_again_does_not_leave_again(farm: str, host: Host, run: Run) -> None:
    """Its vote is needed, and a former attempt has come so far."""
    asked: list[str] = []

    def agent(node: str, _: str) -> Result:
        asked.append(node)
        return Result(0, "", "")

    host.agent = agent
    made = tuple(Change("rejoin", name, "manager1") for name in ("manager2", "manager3"))
    changes.save(farm, Changes("labgen drill farm quorum-loss", made))
    next(each for each in host.libvirt.listAllDomains() if each.name().endswith("_manager3")).destroy()
    done = run("start", farm)
    assert done.status == 0, done.stderr
    assert asked == ["manager3"]
    assert changes.load(farm) is None


def test_a_hypothesis_that_does_not_come_true(
    lab: str, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "RUN_LIMIT", 0.3)
    swarm.stuck = True
    failed = run("drill", lab, "drain")
    assert failed.status == 1
    assert "NO   all tasks run on other nodes" in failed.stdout
    assert "tasks run elsewhere after  never" in failed.stdout
    assert results.every(lab)[-1].verdict == "failed"


def test_an_interruption_puts_back_and_is_kept(
    lab: str, host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "until", interrupt)
    stopped = run("drill", lab, "power-off")
    assert stopped.status == 130
    assert set(machines(host).values()) == {True}
    (record,) = results.every(lab)
    assert (record.verdict, record.failure) == ("interrupted", "interrupted")
    assert record.requests is not None
    assert changes.load(lab) is None


@pytest.mark.parametrize("command", [("start", "lab"), ("drill", "lab", "drain"), ("rebalance", "lab")])
def test_what_a_killed_drill_left_is_put_back(
    lab: str, host: Host, swarm: SmallSwarm, run: Run, command: tuple[str, ...]
) -> None:
    """It was killed when a machine was off, a node drained, and the service had more replicas."""
    made = (
        Change("service", "web", json.dumps({"replicas": 6})),
        Change("availability", "worker2", "active"),
        Change("power", "worker1"),
    )
    changes.save(lab, Changes("labgen drill lab power-off", made))
    swarm.docker("manager1", ["service", "scale", "--detach", "web=9"])
    swarm.docker("manager1", ["node", "update", "--availability", "drain", "worker2"])
    next(each for each in host.libvirt.listAllDomains() if each.name().endswith("_worker1")).destroy()
    told = run("status", lab)
    assert "an interrupted 'labgen drill lab power-off' has left changes" in told.stderr
    assert json.loads(run("status", lab, "--format", "json").stdout)["interrupted"] == "labgen drill lab power-off"
    assert not machines(host)["worker1"]
    done = run(*command)
    assert done.status == 0, done.stderr
    assert "had changed web, the availability of worker2, the power of worker1: put back" in done.stderr
    assert set(machines(host).values()) == {True}
    assert swarm.settings("web") == {"replicas": 6}
    assert {each.availability for each in host.cloud.entries.values()} == {"active"}
    assert changes.load(lab) is None
    assert json.loads(run("status", lab, "--format", "json").stdout)["interrupted"] is None


def test_the_first_of_several_changes_counts(lab: str) -> None:
    opened = SimpleNamespace(plan=SimpleNamespace(name=lab))
    temporary = putting_back.Temporary(opened, "labgen drill lab update")  # type: ignore[arg-type]
    for former in ("first", "second"):
        temporary.about_to(Change("service", "web", json.dumps(former)))
    for key in ("", "SWMKEY"):
        temporary.about_to(Change("autolock", "manager1", key))
    temporary.about_to(Change("power", "worker1"))
    found = changes.load(lab)
    assert found
    assert [(each.name, each.former) for each in found.made] == [
        ("web", '"first"'), ("manager1", "SWMKEY"), ("worker1", ""),
    ]  # fmt: skip


def test_what_an_earlier_drill_left_is_not_forgotten(lab: str) -> None:
    changes.save(lab, Changes("labgen drill lab drain", (Change("network", "labgen-drill-plain"),)))
    opened = SimpleNamespace(plan=SimpleNamespace(name=lab))
    putting_back.Temporary(opened, "labgen drill lab power-off").about_to(Change("power", "worker1"))  # type: ignore[arg-type]
    found = changes.load(lab)
    assert found
    assert [each.name for each in found.made] == ["labgen-drill-plain", "worker1"]


def test_a_service_of_the_users_is_not_taken_for_the_drills(lab: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.serve("labgen-drill-limits", 1, ports=())
    refused = run("drill", lab, "limits")
    assert refused.status == 2
    assert "there is a service named labgen-drill-limits already" in refused.stderr
    assert swarm.settings("labgen-drill-limits") == {"replicas": 1}


def test_a_lab_that_is_locked_by_its_user_stays_so(lab: str, host: Host, run: Run) -> None:
    host.cloud.unlock_key = "SWMKEY"
    refused = run("drill", lab, "autolock", "--force")
    assert refused.status == 2
    assert "locked already" in refused.stderr


def test_answers_that_do_not_say_who_gave_them(lab: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labgen.traffic.load.HEADERS", {})
    monkeypatch.setattr("labgen.drills.spread.LEAST", 0.3)
    done = run("drill", lab, "spread")
    assert done.status == 0, done.stdout
    assert "the answers do not say which task gave them" in done.stderr


def test_status_works_beside_a_damaged_record_of_changes(lab: str, run: Run) -> None:
    paths.changes(lab).write_text("{}")
    assert json.loads(run("status", lab, "--format", "json").stdout)["interrupted"] == "command"


def test_what_cannot_be_put_back_yet_is_kept(lab: str, host: Host, run: Run) -> None:
    changes.save(lab, Changes("labgen drill lab drain", (Change("availability", "worker2", "active"),)))
    host.cloud.leaderless_calls = 100
    told = run("drill", lab, "drain")
    assert told.status == 60
    assert "not put back yet: no manager of 'lab' can put back what was changed" in told.stderr
    assert changes.load(lab) is not None


def test_a_lab_that_goes_off_keeps_what_has_to_be_put_back(lab: str, host: Host, swarm: SmallSwarm, run: Run) -> None:
    changes.save(lab, Changes("labgen drill lab drain", (Change("availability", "worker2", "active"),)))
    swarm.docker("manager1", ["node", "update", "--availability", "drain", "worker2"])
    assert run("stop", lab).status == 0
    assert changes.load(lab) is not None
    assert run("start", lab).status == 0
    assert changes.load(lab) is None
    assert {each.availability for each in host.cloud.entries.values()} == {"active"}


def test_a_damaged_record_of_changes_is_told(lab: str, run: Run) -> None:
    paths.changes(lab).write_text("{}")
    told = run("start", lab)
    assert told.status == 1
    assert "the record of what has to be put back in 'lab' is damaged" in told.stderr


def test_the_record_is_for_its_owner_only(lab: str, run: Run) -> None:
    changes.save(lab, Changes("labgen drill lab drain", (Change("availability", "worker1", "active"),)))
    assert paths.changes(lab).stat().st_mode & 0o777 == 0o600
    run("drill", lab, "drain")
    assert {path.stat().st_mode & 0o777 for path in paths.results(lab).iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lab", "power-of"), "there is no drill named 'power-of'"),
        (("lab", "drain", "--service", "wep"), "'lab' has no service named 'wep'"),
        (("lab", "drain", "--service", "batch"), "batch publishes no port"),
        (("lab", "leader-loss"), "without its leader 'lab' has no majority of managers"),
        (("lab", "autolock"), "while a manager of 'lab' is locked, the cluster cannot be changed"),
        (("lab",), "specify a lab and a drill"),
        (("lab", "drain", "--rate", "0"), "--rate"),
        (("nolab", "drain"), "there is no lab named 'nolab'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    lab: str, swarm: SmallSwarm, run: Run, arguments: tuple[str, ...], words: str
) -> None:
    swarm.serve("batch", 2, ports=())
    refused = run("drill", *arguments)
    assert refused.status == 2
    assert words in refused.stderr
    assert swarm.said == []
    assert results.every(lab) == []


def test_a_service_must_be_chosen_if_there_are_several(lab: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.serve("shop", 3)
    refused = run("drill", lab, "drain")
    assert refused.status == 2
    assert "several services can be meant" in refused.stderr
    assert run("drill", lab, "drain", "--service", "shop").status == 0


def test_nothing_that_could_be_measured(lab: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.running.clear()
    refused = run("drill", lab, "spread")
    assert refused.status == 2
    assert "First: labgen deploy lab hello" in refused.stderr


def test_a_lab_that_is_not_steady(lab: str, host: Host, run: Run, swarm: SmallSwarm) -> None:
    run("kill", lab, "worker1")
    refused = run("drill", lab, "drain")
    assert refused.status == 60
    assert "worker1: down, active" in refused.stderr
    run("stop", lab)
    stopped = run("drill", lab, "drain")
    assert stopped.status == 50
    assert "its machines are off" in stopped.stderr


def test_a_service_that_does_not_run(lab: str, run: Run, swarm: SmallSwarm) -> None:
    swarm.stuck = True
    swarm.docker("manager1", ["service", "scale", "--detach", "web=9"])
    refused = run("drill", lab, "drain")
    assert refused.status == 60
    assert "web does not run as it should" in refused.stderr


def test_a_service_that_does_not_answer(lab: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from labgen.traffic import Target

    monkeypatch.setattr(Stage, "targets", lambda *_, **__: [Target("worker1", "127.0.0.1", 1)])
    monkeypatch.setattr(stage, "STEADY_LIMIT", 1)
    refused = run("drill", lab, "drain")
    assert refused.status == 60
    assert "does not answer reliably before anything is done" in refused.stderr
    assert "refused" in refused.stderr


def test_the_list_and_the_history(lab: str, run: Run) -> None:
    listed = run("drill", "--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == list(drills.DRILLS)
    assert all(len(line) <= 80 for line in listed.stdout.splitlines())
    assert run("drill", lab, "--history").stdout.splitlines()[1:] == []
    run("drill", lab, "drain")
    run("rebalance", lab)
    lines = run("drill", lab, "--history").stdout.splitlines()
    assert [line.split()[2:5] for line in lines[1:]] == [["drill", "drain", "web"], ["rebalance", "web", "passed"]]
    kept = records(run("drill", lab, "--history", "--format", "json").stdout)
    assert [each["kind"] for each in kept] == ["drill", "rebalance"]


def test_a_killed_drill_is_told_as_such(lab: str, run: Run) -> None:
    from labgen.progress import Silent
    from labgen.records.notebook import Notebook

    Notebook(lab, results.begun("drill", "drain", "web", "h"), Silent()).saw("something")
    assert run("drill", lab, "--history").stdout.splitlines()[1].split()[-3:] == ["killed", "-", "-"]
    assert results.every(lab)[0].steps == (Step(results.every(lab)[0].steps[0].at, "something"),)


def test_every_drill_says_what_it_is() -> None:
    for name, drill in drills.DRILLS.items():
        assert drill.name == name
        assert drill.about
        assert drill.hypothesis.endswith(".")


def test_what_happened_between_two_looks() -> None:
    run_before, gone = task("running", on="worker1"), task("running", on="manager1")
    former = View((SERVICE,), NODES, (run_before, gone))
    moved = (NODES[0], node("worker1", state="down", labels={"disk": "ssd"}), NODES[2])
    ended = task("failed", on="manager1", id=gone.id)
    view = View((SERVICE,), moved, (run_before, ended, task("running", on="manager1", slot=2)))
    assert list(happenings(former, view, "shop_web")) == [
        "worker1 is down, active",
        "shop_web.1 is failed on manager1",
        "shop_web.2 is running on manager1",
    ]
    assert list(happenings(view, view, "shop_web")) == []


def test_sizes_that_are_lost_between_two_nodes() -> None:
    text = "10.0.0.2 1 1\n10.0.0.2 1400 1400\n10.0.0.2 9000 0\n10.0.0.3 9000 9000\n"
    assert _lost(text) == {"10.0.0.2": [9000], "10.0.0.3": []}
    assert "from 9000 on nothing does: large packets are lost" in _finding([1, 1400], [9000])
    assert _finding([9000], [1]) == "lost: 1 bytes"


@pytest.mark.parametrize(
    ("heartbeat", "led", "words"),
    [
        (5, False, "8-16.5 s: 3 heartbeats of 5 s since the last"),
        (2, False, "2-7.5 s: 3 heartbeats of 2 s since the last"),
        (5, True, "37-53 s: an election, then 6 heartbeats of 5 s"),
    ],
)
def test_detection_is_predicted_from_the_heartbeat(heartbeat: float, led: bool, words: str) -> None:
    engine = SimpleNamespace(heartbeat=lambda: heartbeat)
    stage = SimpleNamespace(there=SimpleNamespace(engine=engine))
    assert predictions.detection_in_words(stage, led=led) == words  # type: ignore[arg-type]


def test_times_of_docker() -> None:
    assert predictions._seconds("2026-01-01T00:00:59.5Z", "2026-01-01T00:01:02.123456789Z") == pytest.approx(2.623456)


def test_seconds_as_ranges() -> None:
    assert results.ranges([3, 8, 9, 10, 12]) == "3, 8-10, 12"


def test_changes_in_words() -> None:
    made = (Change("link", "worker1"), Change("extra", "shop"), Change("extra", "shop"))
    assert putting_back._in_words(made) == "the network of worker1, shop"
