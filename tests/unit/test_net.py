"""``labgen net``: what it changes, refuses and shows; tests/vm checks that machines notice."""

import json
from typing import Any

import pytest

from labgen.errors import HostError
from labgen.host import shaping
from labgen.impairment import Impairment
from labgen.machines import freeze
from labgen.records import journals
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures

WELL = {"up": True, "delay": None, "loss": None, "rate": None, "rate_direction": None}
TAP = "tap-worker1"


@pytest.fixture
def lab(host: Host, run: Run) -> str:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    return "lab"


@pytest.fixture
def no_netem(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(interface: str, wanted: Impairment) -> None:
        if wanted.delays_or_loses:
            raise HostError(
                "this host's kernel cannot delay or lose packets: it has no netem", "tc's words", "modprobe"
            )
        host.impair(interface, wanted)

    monkeypatch.setattr(shaping, "impair", refuse)


def domain(node: str = "worker1") -> str:
    return journals.load("lab").lab.node(node).domain


def network(run: Run, node: str = "worker1") -> dict[str, Any]:
    """In the status and in labgen net, which agree."""
    [row] = json.loads(run("net", "lab", node, "--format", "json").stdout)
    assert row.pop("node") == node
    [listed] = [
        each for each in json.loads(run("status", "lab", "--format", "json").stdout)["nodes"] if each["name"] == node
    ]
    assert listed["network"] == row
    return dict(row)


def test_a_link_goes_down_and_up(lab: str, host: Host, run: Run) -> None:
    shown = run("net", lab, "worker1", "--down")
    assert shown.stdout.splitlines() == [
        "NODE     LINK  DELAY  LOSS  RATE",
        "worker1  down  -      -     -",
    ]
    assert host.unplugged == {domain()}
    assert network(run) == WELL | {"up": False}
    assert network(run, "worker2") == WELL
    status = run("status", lab)
    assert "network of worker1: down (labgen net lab worker1 --reset)" in status.stderr
    assert status.stderr.count("network of") == 1
    assert run("net", lab, "worker1", "--up").status == 0
    assert host.unplugged == set()
    assert "network of" not in run("status", lab).stderr


def test_all_nodes_are_shown_without_a_change(lab: str, host: Host, run: Run) -> None:
    host.impaired[TAP] = Impairment(delay=100_000, loss=5)
    shown = run("net", lab)
    assert [line.split() for line in shown.stdout.splitlines()[1:]] == [
        ["manager1", "up", "-", "-", "-"],
        ["worker1", "up", "100ms", "5%", "-"],
        ["worker2", "up", "-", "-", "-"],
    ]
    assert host.impaired == {TAP: Impairment(delay=100_000, loss=5)}


def test_options_add_up_and_what_is_not_mentioned_stays(lab: str, host: Host, run: Run) -> None:
    assert run("net", lab, "worker1", "--delay", "100ms", "--loss", "5%").status == 0
    assert host.impaired == {TAP: Impairment(delay=100_000, loss=5)}
    assert run("net", lab, "worker1", "--rate", "1mbit", "--delay", "1.5s").status == 0
    assert host.impaired == {TAP: Impairment(delay=1_500_000, loss=5, rate=1_000_000)}
    assert network(run) == {"up": True, "delay": "1.5s", "loss": "5%", "rate": "1mbit", "rate_direction": "received"}
    words = "network of worker1: delay 1.5s, loss 5%, rate 1mbit (received) (labgen net lab worker1 --reset)"
    assert words in run("status", lab).stderr
    assert run("net", lab, "worker1", "--delay", "0", "--loss", "0%").status == 0
    assert (host.impaired, host.limits[domain()]) == ({}, (1_000_000, 1_000_000))


def test_a_rate_is_libvirts_where_it_can_be(lab: str, host: Host, run: Run) -> None:
    shown = run("net", lab, "worker1", "--rate", "1mbit")
    assert shown.stderr.count("what it receives") == 0
    assert (host.impaired, host.limits) == ({}, {domain(): (1_000_000, 1_000_000)})
    assert network(run)["rate_direction"] == "both"
    # libvirt has no delay: then all of it is tc's, and libvirt's limit is gone, which takes what tc had set with it
    assert run("net", lab, "worker1", "--delay", "100ms").status == 0
    assert host.limits == {domain(): (0, 0)}
    assert host.impaired == {TAP: Impairment(delay=100_000, rate=1_000_000)}


def test_a_rate_is_tcs_where_libvirt_cannot(lab: str, host: Host, run: Run) -> None:
    host.can_limit = False
    for rate, bits in (("1mbit", 1_000_000), ("2mbit", 2_000_000)):
        shown = run("net", lab, "worker1", "--rate", rate)
        assert shown.status == 0
        assert "worker1: what it receives is limited, but not what it sends: tc ... sfq:" in shown.stderr
        assert "kind is unknown" in shown.stderr
        assert (host.impaired, host.limits) == ({TAP: Impairment(rate=bits)}, {})
    assert network(run) == WELL | {"rate": "2mbit", "rate_direction": "received"}
    assert shown.stdout.splitlines()[1].split() == ["worker1", "up", "-", "-", "2mbit", "(received)"]


def test_a_host_without_netem_says_so_and_nothing_changes(lab: str, host: Host, run: Run, no_netem: None) -> None:
    run("net", lab, "worker1", "--rate", "1mbit")
    before = (dict(host.impaired), dict(host.limits))
    refused = run("net", lab, "worker1", "--delay", "100ms")
    assert refused.status == 20
    assert "it has no netem" in refused.stderr
    assert (host.impaired, host.limits) == before


def test_reset_puts_back_one_node_or_all(lab: str, host: Host, run: Run) -> None:
    for node in ("worker1", "worker2"):
        run("net", lab, node, "--delay", "100ms")
    run("net", lab, "worker1", "--down")
    run("net", lab, "manager1", "--rate", "1mbit")
    assert run("net", lab, "worker1", "--reset").stdout.splitlines()[1].split() == ["worker1", "up", "-", "-", "-"]
    assert (host.unplugged, set(host.impaired)) == (set(), {"tap-worker2"})
    host.unplugged.add(domain("worker2"))
    everyone = json.loads(run("net", lab, "--reset", "--format", "json").stdout)
    assert everyone == [{"node": node, **WELL} for node in ("manager1", "worker1", "worker2")]
    assert (host.unplugged, host.impaired, host.limits[domain("manager1")]) == (set(), {}, (0, 0))


def test_a_node_that_is_off_can_only_be_put_back(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    host.libvirt.lookupByName(domain()).destroy()
    assert network(run) == WELL | {"up": False}
    for change in (["--down"], ["--delay", "1ms"], ["--rate", "1mbit"]):
        refused = run("net", lab, "worker1", *change)
        assert refused.status == 50
        assert "worker1 of 'lab' is stopped" in refused.stderr
    assert run("net", lab, "worker1", "--up").status == 0
    assert host.unplugged == set()
    host.unplugged.add(domain())
    assert run("net", lab, "--reset").status == 0
    assert host.unplugged == set()


def test_a_suspended_lab_is_left_alone(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    assert run("suspend", lab).status == 0
    for words in (["worker1", "--up"], ["--reset"], ["worker2", "--down"]):
        refused = run("net", lab, *words)
        assert refused.status == 2
        assert "labgen resume lab" in refused.stderr
    assert host.unplugged == {domain()}
    resumed = run("resume", lab)
    assert resumed.status == 50
    assert "worker1: its clock cannot be set, because its link is down" in resumed.stderr
    assert "worker1 of 'lab' is cut off from the network: its link is down" in resumed.stderr
    assert host.machine("worker2").clock_is_set
    assert not host.machine("worker1").clock_is_set
    assert run("net", lab, "worker1", "--up").status == 0
    assert run("resume", lab).status == 0


@pytest.mark.parametrize(
    "words", [["start", "lab"], ["start", "lab", "worker1"], ["exec", "lab", "--node", "worker1", "--", "true"],
              ["ssh", "lab", "worker1"], ["create", "three-node-btrfs", "--name", "lab"]],
    ids=" ".join,
)  # fmt: skip
def test_who_needs_the_node_says_how_its_link_goes_up(lab: str, host: Host, run: Run, words: list[str]) -> None:
    run("net", lab, "worker1", "--down")
    host.unreachable = "worker1"
    refused = run(*words)
    assert refused.status == 50
    assert "worker1 of 'lab' is cut off from the network: its link is down" in refused.stderr
    assert refused.stderr.endswith("labgen net lab worker1 --up\n")
    assert host.unplugged == {domain()}


def test_the_machines_are_on_when_start_says_so(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    run("stop", lab)
    assert run("start", lab).status == 50
    assert all(host.libvirt.lookupByName(domain(node)).isActive() for node in ("manager1", "worker1", "worker2"))


def test_a_check_reports_the_link_and_does_not_try(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    host.unreachable = "worker1"
    found = run("status", lab, "--check", "--format", "json")
    assert found.status == 50
    [finding] = [each for each in json.loads(found.stdout)["health"] if each["node"] == "worker1"]
    assert finding["evidence"].startswith("its link is down")
    assert finding["fix"] == "labgen net lab worker1 --up"


def test_a_checkpoint_does_not_need_the_node(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    host.unreachable = "worker1"
    for words in (["save", "lab", "cut"], ["restore", "lab", "cut", "--yes"]):
        ran = run("checkpoint", *words)
        assert ran.status == 0, ran.stderr
        assert "worker1: its clock cannot be set" in ran.stderr


def test_a_checkpoint_keeps_the_delay(lab: str, host: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("net", lab, "worker1", "--delay", "100ms")
    save = freeze.keep

    def interfaces_are_new(*arguments: Any) -> None:
        save(*arguments)
        host.impaired.clear()

    monkeypatch.setattr(freeze, "keep", interfaces_are_new)
    assert run("checkpoint", "save", lab, "one").status == 0
    assert network(run)["delay"] == "100ms"
    monkeypatch.setattr(shaping, "impair", lambda *_: _refuse())
    saved = run("checkpoint", "save", lab, "two")
    assert saved.status == 0
    assert "worker1: its network is as always again: no root" in saved.stderr


def _refuse() -> None:
    raise HostError("no root")


def test_what_has_to_reach_the_node_is_refused_before_anything_changes(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    before = host.volumes()
    for words in (
        ["export", "lab", "--depth", "running", "-o", "lab.labgen"],
        ["export", "lab", "--depth", "disks", "-o", "lab.labgen"],
        ["rebuild", "lab", "worker2", "--yes"],
    ):
        refused = run(*words)
        assert refused.status == 50
        assert "worker1 of 'lab' is cut off" in refused.stderr
    assert host.volumes() == before


def test_the_cluster_is_asked_through_others(lab: str, host: Host, run: Run) -> None:
    run("net", lab, "manager1", "--down", "--force")
    host.unreachable = "manager1"
    answered = run("stack", "list", lab)
    assert answered.status == 60
    assert "manager1: is off, or its link is down" in answered.stderr
    assert "worker1: is not a manager" in answered.stderr
    host.unplugged |= {domain("worker1"), domain("worker2")}
    assert run("stack", "list", lab).status == 50
    run("net", lab, "--reset")
    host.unreachable = ""
    assert run("stack", "list", lab).status == 0


def test_the_only_manager_keeps_its_link_unless_forced(lab: str, host: Host, run: Run) -> None:
    refused = run("net", lab, "manager1", "--down")
    assert refused.status == 2
    assert "without manager1 the cluster of 'lab' has no majority of managers" in refused.stderr
    assert "0 of 1 managers would be left" in refused.stderr
    assert not host.unplugged
    assert run("net", lab, "manager1", "--down", "--force").status == 0
    assert host.unplugged == {domain("manager1")}
    assert run("net", lab, "manager1", "--up").status == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lab", "--up"], "specify the node"),
        (["lab", "--rate", "1mbit"], "specify the node"),
        (["lab", "worker1", "--up", "--down"], "cannot be combined"),
        (["lab", "worker1", "--up", "--reset"], "cannot be combined"),
        (["lab", "worker1", "--down", "--delay", "1ms"], "cannot be combined"),
        (["lab", "worker1", "--up", "--force"], "--force needs --down"),
        (["lab", "worker1", "--delay", "100"], "is not a valid delay"),
        (["lab", "worker1", "--loss", "5"], "is not a valid loss"),
        (["lab", "worker1", "--rate", "10mbps"], "megabytes per second"),
        (["lab", "worker9", "--down"], "no node named 'worker9'"),
        (["lab", "worker9"], "no node named 'worker9'"),
        (["bal", "worker1", "--down"], "no lab named 'bal'"),
        (["bal"], "no lab named 'bal'"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_bad_input_changes_nothing(lab: str, host: Host, run: Run, words: list[str], told: str) -> None:
    refused = run("net", *words)
    assert refused.status == 2
    assert told in refused.stderr
    assert (host.unplugged, host.impaired, host.limits) == (set(), {}, {})


def test_the_changes_are_in_the_labs_history(lab: str, run: Run) -> None:
    run("net", lab, "worker1", "--down")
    run("net", lab, "worker1", "--reset")
    events = json.loads(run("events", lab, "--format", "json").stdout)
    assert [
        (each["node"], each["stage"], each["text"]) for each in events if each["command"] == "net" and each["node"]
    ] == [
        ("worker1", "set-link", "link down"),
        ("worker1", "reset-network", "network reset"),
    ]
