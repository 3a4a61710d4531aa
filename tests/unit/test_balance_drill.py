"""The drill "balance", and what "client-address" sees behind load balancers: without machines, over real HTTP."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labgen import paths
from labgen.balancers import BALANCERS
from labgen.drills import backends, balance, client_address, comparison
from labgen.drills.lanes import Lane, in_turn, sent_to, settled, slow
from labgen.drills.page import Fact, Page
from labgen.engine import Port
from labgen.model import Node
from labgen.records import balancers, changes, results
from labgen.records.changes import Change, Changes
from labgen.records.results import Number
from labgen.traffic import Answer, Measurement, Target
from tests.unit import local_balancers
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.local_balancers import Front, fronts
from tests.unit.small_swarm import SmallSwarm, records, swarm

__all__ = ["fronts", "host", "run", "swarm"]  # fixtures

MESH = "the mesh alone"
NGINX, HAPROXY, NFTABLES = "nginx1 (nginx)", "haproxy1 (haproxy)", "nftables1 (nftables)"
RATE = ("--rate", "80")
NODES = ["manager1", "worker1", "worker2"]


@pytest.fixture
def lab(host: Host, swarm: SmallSwarm, run: Run, fronts: dict[str, Front]) -> str:
    assert run("create", "three-node-balancers", "--name", "lab").status == 0
    swarm.serve("web", 6)
    return "lab"


def numbers(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name, and by what they are of."""
    found: dict[str, dict[str, Any]] = {}
    for each in record["numbers"]:
        found.setdefault(each["name"], {})[each["of"]] = each["value"]
    return found


def test_programs_beside_each_other(lab: str, host: Host, run: Run) -> None:
    done = run("drill", lab, "balance", "--format", "json", *RATE)
    assert done.status == 0, done.stdout + done.stderr
    (record,) = records(done.stdout)
    found = numbers(record)
    assert found["requests"].keys() == {MESH, NGINX, HAPROXY, NFTABLES}
    assert min(found["requests"].values()) >= 60
    assert set(record["requests"]["targets"]) == {
        *("manager1", "worker1", "worker2"), *("nginx1", "haproxy1", "nftables1"),
    }  # fmt: skip
    for name in (NGINX, HAPROXY):
        for node in ("manager1", "worker1", "worker2"):
            assert found[f"sent to {node}"][name] == pytest.approx(33.3, abs=6.7)
    assert NFTABLES not in found["sent to worker1"]

    lost = found["requests lost, power cut"]
    assert lost[NGINX] == lost[HAPROXY] == 0
    assert lost[NFTABLES] > 0
    assert lost[MESH] > 0
    slow = found["requests slow, power cut"]
    assert slow[NGINX] > slow[HAPROXY] > 0
    ended = found["none lost or slow any more after"]
    assert 0 < ended[HAPROXY] < 2
    assert ended[NGINX] is ended[NFTABLES] is ended[MESH] is None
    in_flight = found["requests in flight lost, power cut"]
    assert in_flight.keys() == {MESH, NGINX, HAPROXY, NFTABLES}
    assert min(in_flight.values()) > 0  # two, unless other requests came in between
    refreshed = [each["text"] for each in record["steps"] if each["command"] == "host$ labgen balance lab"]
    assert refreshed == [
        "giving nginx1, haproxy1, nftables1 the backends that there are now",
        "giving nftables1 the backends that there are now",
        "giving nginx1, haproxy1, nftables1 the backends that there are now",
    ]
    answered = {each["text"]: each["evidence"] for each in record["checks"] if "answered again" in each["text"]}
    assert answered == {
        f"{NGINX}: every request is answered again while worker1 is away": "by itself",
        f"{HAPROXY}: every request is answered again while worker1 is away": "by itself",
        f"{NFTABLES}: every request is answered again while worker1 is away": "after labgen balance",
    }
    again = found["gets requests again after"]
    assert again.keys() == {NGINX, HAPROXY}
    assert None not in again.values()
    assert found["undrained node's first request after"].keys() == {NGINX, HAPROXY}
    assert None not in found["undrained node's first request after"].values()
    assert found["requests in flight lost, drained"] == dict.fromkeys((NGINX, HAPROXY, NFTABLES), 0)
    assert found["requests lost, drained and undrained"] == dict.fromkeys((NGINX, HAPROXY, NFTABLES), 0)
    assert min(found["tasks that one client meets"].values()) > 1
    assert balancers.load(lab).drained == ()
    assert "10.77.0.12:8080" in host.machine("nginx1").config["nginx.conf"]
    assert changes.load(lab) is None
    assert all(each.isActive() for each in host.libvirt.listAllDomains())
    predicted = {each["of"]: each["expected"] for each in record["numbers"] if each["name"].startswith("none lost")}
    assert predicted == {MESH: "", **{f"{name}1 ({name})": each.notices for name, each in BALANCERS.items()}}


@pytest.fixture
def small(host: Host, swarm: SmallSwarm, run: Run, fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch) -> str:
    """A lab with nginx alone, in which little is waited for."""
    assert run("create", "three-node-balancer", "--name", "lab").status == 0
    swarm.serve("web", 6)
    monkeypatch.setattr(balance, "LEAST", 10)
    monkeypatch.setattr(comparison, "QUIET", 0.4)
    monkeypatch.setattr(comparison, "HANDOVER", 0.1)
    monkeypatch.setattr(local_balancers, "MANAGERS_NOTICE", 0.5)
    return "lab"


def test_a_table_has_a_column_for_each_way(small: str, swarm: SmallSwarm, run: Run, tmp_path: Path) -> None:
    swarm.has_slow_page = False
    done = run("drill", small, "balance", *RATE)
    assert done.status == 0, done.stdout + done.stderr
    assert "web has no page /slow, as hello has: requests in flight are not measured" in done.stderr
    assert "in flight" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(line.split() == ["MEASURED", "THE", "MESH", "ALONE", "BALANCER1", "(NGINX)"] for line in lines)
    assert any(line.startswith("sent to worker1") for line in lines)
    assert "balancer1 (nginx): none lost or slow any more after" in done.stdout
    assert lines[-1] == "drill balance: passed"
    assert run("report", small, "-o", str(tmp_path / "report.md")).status == 0
    told = (tmp_path / "report.md").read_text()
    assert "| Measured | the mesh alone | balancer1 (nginx) |" in told
    assert "| sent to worker1 | - |" in told.replace("\u2013", "-")
    assert run("report", small, "-o", str(tmp_path / "report.html")).status == 0
    assert '<th scope="col" class="number">balancer1 (nginx)</th>' in (tmp_path / "report.html").read_text()


def test_a_client_that_stays_loses_its_login_with_its_backend(
    small: str, run: Run, tmp_path: Path, host: Host
) -> None:
    shipped = (paths.shipped_profiles() / "three-node-balancer.yaml").read_text()
    (tmp_path / "sticky.yaml").write_text(shipped.replace("[80]", "[{port: 80, sticky: cookie}]"))
    assert run("balance", small, "--profile", str(tmp_path / "sticky.yaml")).status == 0
    assert "labgen_backend" in host.machine("balancer1").config["nginx.conf"]
    done = run("drill", small, "balance", *RATE)
    assert done.status == 0, done.stdout + done.stderr
    assert "yes  balancer1 (nginx): a client stays with its backend (worker1)" in done.stdout
    assert "the client of worker1 goes to another backend: its login there is lost (now " in done.stdout


def test_tasks_that_are_reached_directly(small: str, swarm: SmallSwarm, run: Run, tmp_path: Path) -> None:
    """They have no mesh, so nothing is measured beside the balancer; a client that stays is with one task."""
    swarm.running = []
    swarm.serve("web", 3, ports=(Port(8080, 80, mode="host"),))
    shipped = (paths.shipped_profiles() / "three-node-balancer.yaml").read_text()
    (tmp_path / "direct.yaml").write_text(shipped.replace("[80]", "[{port: 80, direct: true, sticky: cookie}]"))
    assert run("balance", small, "--profile", str(tmp_path / "direct.yaml")).status == 0
    done = run("drill", small, "balance", "--format", "json", *RATE)
    assert done.status == 0, done.stdout + done.stderr
    (record,) = records(done.stdout)
    found = numbers(record)
    assert found["requests"].keys() == {"balancer1 (nginx)"}
    assert {name.partition(":")[0] for name in found if name.startswith("sent to ")} == {
        "sent to manager1", "sent to worker1", "sent to worker2",
    }  # fmt: skip
    assert found["tasks that one client meets"] == {"balancer1 (nginx)": 1}
    assert "gets requests again after" not in found  # its tasks do not return by themselves
    assert "web publishes no port in the mesh" in done.stderr
    said = [each["text"] for each in record["checks"]]
    assert "balancer1 (nginx): a client stays with its task: a login that lives there is kept" in said
    assert any(each.endswith("goes to another backend: its login there is lost") for each in said)


def test_a_record_of_before_has_no_comparison(small: str, run: Run) -> None:
    results.save(small, replace(results.begun("drill", "drain", "web", ""), numbers=(Number("lost", 1),)))
    (path,) = paths.results(small).glob("*.json")
    content = json.loads(path.read_text())
    del content["numbers"][0]["of"]
    path.write_text(json.dumps(content))
    (record,) = results.every(small)
    assert (record.things, record.compared, record.numbers[0].full_name) == ([], {}, "lost")


def test_a_balancer_that_gives_one_backend_everything_fails(
    small: str, run: Run, fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts["balancer1"], "backends", lambda: ["worker2", "manager1"])
    done = run("drill", small, "balance", *RATE)
    assert done.status == 1
    assert "NO   balancer1 (nginx): every backend gets its share (worker1 0.0%, worker2 100.0%" in done.stdout


def test_a_drain_that_does_not_take_hold_fails(
    small: str, run: Run, fronts: dict[str, Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts["balancer1"], "backends", lambda: random.sample(NODES, 3))
    done = run("drill", small, "balance", *RATE)
    assert done.status == 1
    assert "gets no requests while it is drained (" in done.stdout
    assert "NO   balancer1 (nginx): manager1 gets no requests while it is drained" in done.stdout


def test_what_is_drained_already_stays_so(small: str, host: Host, run: Run) -> None:
    assert run("balance", small, "--drain", "manager1").status == 0
    done = run("drill", small, "balance", *RATE)
    assert done.status == 0, done.stdout + done.stderr
    assert "--drain worker2" in done.stderr
    assert balancers.load(small).drained == ("manager1",)


def test_an_interruption_while_a_backend_is_drained_puts_it_back(
    small: str, host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert balancers.load(small).drained == ("manager1",)
        raise KeyboardInterrupt

    monkeypatch.setattr(backends, "undrain", interrupt)
    stopped = run("drill", small, "balance", *RATE)
    assert stopped.status == 130
    assert balancers.load(small).drained == ()
    assert " down;" not in host.machine("balancer1").config["nginx.conf"]
    assert changes.load(small) is None
    assert results.every(small)[-1].verdict == "interrupted"


@pytest.mark.usefixtures("swarm")
def test_what_a_killed_drill_has_drained_is_put_back_by_the_next_command(small: str, host: Host, run: Run) -> None:
    assert run("balance", small, "--drain", "worker1").status == 0
    changes.save(small, Changes("labgen drill lab balance", (Change("balancer-drain", "worker1"),)))
    assert "an interrupted 'labgen drill lab balance' has left changes" in run("status", small).stderr
    done = run("start", small)
    assert done.status == 0, done.stderr
    assert "had changed the load balancers' clients of worker1: put back" in done.stderr
    assert balancers.load(small).drained == ()
    assert " down;" not in host.machine("balancer1").config["nginx.conf"]
    assert changes.load(small) is None


def test_without_a_manager_nothing_is_taken_from_the_balancers(small: str, host: Host, run: Run) -> None:
    """Without one nobody knows the backends: the configuration would have none."""
    run("balance", small, "--drain", "worker1")
    changes.save(small, Changes("labgen drill lab balance", (Change("balancer-drain", "worker1"),)))
    host.cloud.leaderless_calls = 100
    told = run("drill", small, "drain")
    assert told.status == 60
    assert "no manager of 'lab' says which backends the load balancers have to get" in told.stderr
    assert "10.77.0.12:8080" in host.machine("balancer1").config["nginx.conf"]
    assert changes.load(small) is not None


def test_a_lab_without_a_balancer_is_refused(host: Host, swarm: SmallSwarm, run: Run) -> None:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    swarm.serve("web", 6)
    refused = run("drill", "lab", "balance")
    assert refused.status == 2
    assert "'lab' has no load balancer" in refused.stderr
    assert "labgen create three-node-balancers" in refused.stderr
    assert results.every("lab") == []


def test_a_balancer_that_is_off_is_no_steady_state(small: str, host: Host, run: Run) -> None:
    next(each for each in host.libvirt.listAllDomains() if each.name().endswith("_balancer1")).destroy()
    refused = run("drill", small, "balance")
    assert refused.status == 60
    assert "balancer1: stopped" in refused.stderr
    assert "labgen start lab" in refused.stderr


@pytest.mark.parametrize(
    ("publish", "words"),
    [
        (
            "[{port: 443, protocol: https}]",
            "balancer1: port 443 is left out: https is not measured, only http and tcp",
        ),
        ("[{port: 80, service: other_web}]", "balancer1 leads to web at no port that is measured"),
        (
            f"[{{port: 80, access: {{users: {{ann: $6$abcdefgh${'a' * 86}}}}}}}]",
            "balancer1: port 80 is left out: users have to log in there",
        ),
        ("[{port: 80, protocol: tcp, proxy_protocol: true}]", "its service expects the PROXY protocol"),
    ],
)
def test_a_service_that_no_balancer_leads_to_is_refused(
    small: str, run: Run, tmp_path: Path, publish: str, words: str
) -> None:
    shipped = (paths.shipped_profiles() / "three-node-balancer.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(shipped.replace("[80]", publish))
    run("balance", small, "--profile", str(tmp_path / "mine.yaml"))
    refused = run("drill", small, "balance")
    assert refused.status == 2, refused.stderr
    assert "no load balancer of 'lab' leads to web in a way that can be measured" in refused.stderr
    assert words in refused.stderr


def test_the_majority_of_managers_needs_force(small: str, swarm: SmallSwarm, host: Host, run: Run) -> None:
    """All tasks are on a second manager."""
    for key, entry in host.cloud.entries.items():
        if entry.hostname == "worker1":
            host.cloud.entries[key] = replace(entry, role="manager")
    swarm.running = []
    swarm.serve("web", 2, constraints=("node.hostname==worker1",))
    refused = run("drill", small, "balance", "--service", "web")
    assert refused.status == 2
    assert "this drill takes worker1 away, and with it the majority of the managers" in refused.stderr
    assert "--force" in refused.stderr


# What becomes of the answers


def answer(at: float, *, took: float = 0.01, failure: str = "", backend: str = "", target: int = 0) -> Answer:
    return Answer(at, 0, took, target, failure, 0 if failure else 200, backend=backend)


def measurement(*answers: Answer) -> Measurement:
    return Measurement(answers, ["a", "b", "a"], 1)


@pytest.mark.parametrize(
    ("troubles", "expected"),
    [([], 0), ([11.0], 1), ([11.0, 14.5], 4.5), ([11.0, 26.0], None), ([9.0], 0), ([31.0], 0)],
)
def test_when_trouble_ended(troubles: list[float], expected: float | None) -> None:
    measured = measurement(*(answer(at, failure="reset") for at in troubles))
    assert settled(measured, 10, 30, 5) == expected


def test_requests_are_told_apart_by_their_targets_and_backends() -> None:
    answers = [
        answer(0, backend="worker1"),
        answer(1, backend="worker10", target=1),
        answer(2, backend="worker1:web.3", target=2),
        answer(3, failure="status 504", backend="worker1"),
        answer(4, took=3, backend="manager1"),
    ]
    measured = measurement(*answers)
    assert [each.at for each in sent_to(measured, "worker1")] == [0, 2, 3]
    assert [each.at for each in measured.through(["b"]).answers] == [1]
    assert [each.at for each in measured.through(["a"]).answers] == [0, 2, 3, 4]
    assert [each.failure for each in measured.strictly(2).answers] == ["", "", "", "status 504", "slow"]
    assert [each.name for each in measured.backends()] == ["manager1", "worker1", "worker10", "worker1:web.3"]
    assert [each.at for each in slow(measured, 2)] == [4]


def test_each_way_gets_the_same_part_of_the_requests() -> None:
    mesh = Lane("mesh", tuple(Target(name, "10.77.0.1", 8080) for name in ("a", "b", "c")))
    found = in_turn([mesh, Lane("x", (Target("x", "10.77.0.2", 80),)), Lane("y", (Target("y", "10.77.0.3", 80),))])
    assert [each.node for each in found] == ["a", "x", "y", "b", "x", "y", "c", "x", "y"]


# client-address


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(_node: Node, port: int, _word: str, _limit: float) -> Fact:
        return Fact("10.0.0.3" if port == client_address.PORTS[client_address.MESH] else "10.77.0.1", "10.77.0.1")

    monkeypatch.setattr(client_address, "fact", seen)
    monkeypatch.setattr("labgen.drills.extras.bring_image", lambda _stage: "localhost/hello:1")


@pytest.mark.usefixtures("behind")
def test_the_client_behind_each_program(lab: str, run: Run) -> None:
    assert run("balance", lab).status == 0
    done = run("drill", lab, "client-address")
    assert done.status == 0, done.stdout + done.stderr
    for name in (NGINX, HAPROXY):
        assert f"yes  behind {name} the client's address is not seen (seen: 10.201.0.3)" in done.stdout
        assert f"yes  behind {name} X-Forwarded-For tells it (it says 127.0.0.1)" in done.stdout
    assert f"yes  behind {NFTABLES} the client's address is not seen" in done.stdout
    assert f"behind {NFTABLES} X-Forwarded-For" not in done.stdout
    assert "web:8080 sees 10.201.0.3; X-Forwarded-For says 127.0.0.1; the client has 127.0.0.1" in done.stderr


@pytest.mark.usefixtures("behind")
def test_a_service_that_does_not_tell_its_client_is_left_out(small: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.page = "It works.\n"
    assert run("balance", small).status == 0
    done = run("drill", small, "client-address")
    assert done.status == 0, done.stdout + done.stderr
    text = "balancer1 (nginx), port 80 is left out: the page of web:8080 does not tell which client it sees"
    assert text in done.stderr
    assert "behind" not in "".join(line for line in done.stdout.splitlines() if line.lstrip().startswith("yes"))


@pytest.mark.usefixtures("behind")
def test_a_header_that_names_another_client_fails(small: str, swarm: SmallSwarm, run: Run) -> None:
    swarm.page = "client 10.201.0.3\nforwarded-for 192.0.2.7\n"
    assert run("balance", small).status == 0
    done = run("drill", small, "client-address")
    assert done.status == 1
    assert "NO   behind balancer1 (nginx) X-Forwarded-For tells it (it says 192.0.2.7)" in done.stdout


@pytest.mark.usefixtures("behind")
def test_a_balancer_that_answers_with_an_error_is_left_out(
    small: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("balance", small).status == 0
    broken = Page(503, {}, (), "balancer1: web:8080 has no backends\n", "10.77.0.1")
    monkeypatch.setattr(client_address, "ask", lambda _target: broken)
    done = run("drill", small, "client-address")
    assert done.status == 0
    assert "balancer1 (nginx), port 80 is left out: it answers with status 503" in done.stderr
