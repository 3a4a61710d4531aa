"""The network of one node, made worse from the host and put back; as the machines, libvirt and the Swarm see it."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labgen.host import shaping
from labgen.impairment import Impairment
from tests.vm.conftest import eventually, labgen, names, node_output, on_host, virsh

pytestmark = pytest.mark.slow

LAB = "wired"
QUICK = 60  # seconds in which a command says that a link is down, on a busy machine; a login would take longer
MEGABYTE = 1_000_000
WATCH = "while cat /sys/class/net/eth0/carrier; do sleep 1; done >/run/carrier 2>&1"
SINK_PORT = 9000
SINK = f"""
import socket
server = socket.create_server(("", {SINK_PORT}))
while True:
    with server.accept()[0] as connection:
        count = 0
        while piece := connection.recv(65536):
            count += len(piece)
        connection.sendall(str(count).encode())
"""


@pytest.fixture(scope="module")
def wired() -> Iterator[str]:
    """A manager and a worker."""
    labgen("create", "three-node-btrfs", "--name", LAB, "--set", "nodes.worker.count=1")
    yield LAB
    labgen("destroy", LAB, "--yes", "--if-exists")
    assert not [name for each in on_host().values() for name in each if LAB in name]


@pytest.fixture
def unplugged(wired: str) -> Iterator[str]:
    """The worker's link is down; afterwards, the lab is well again."""
    labgen("net", wired, "worker1", "--down")
    yield wired
    labgen("net", wired, "--reset")
    labgen("start", wired)


def network(lab: str, node: str = "worker1") -> dict[str, Any]:
    """From labgen net, and checked to be the same in labgen status."""
    [shown] = json.loads(labgen("net", lab, node, "--format", "json").stdout)
    listed = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    assert [each["network"] for each in listed if each["name"] == node] == [
        {field: value for field, value in shown.items() if field != "node"}
    ]
    return dict(shown)


def links(lab: str) -> tuple[str, str]:
    """The worker's link in libvirt: now, and in the definition."""
    domain = next(name for name in names("list", "--all") if name.endswith(f"_{lab}_worker1"))
    card = virsh("domiflist", domain).splitlines()[2].split()[-1]
    now, stored = (virsh("domif-getlink", domain, card, *option) for option in ([], ["--config"]))
    return now.split()[-1], stored.split()[-1]


def answers(lab: str) -> bool:
    """Whether the worker accepts a connection."""
    try:
        socket.create_connection((address(lab), 22), 10).close()
    except OSError:
        return False
    return True


def in_swarm(lab: str) -> str:
    return node_output(lab, "manager1", "docker", "node", "inspect", "-f", "{{.Status.State}}", "worker1")


def address(lab: str) -> str:
    """The worker's."""
    return str(json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"][1]["address"])


def took(lab: str) -> float:
    """The seconds until a megabyte from the host has arrived in the worker."""
    with socket.create_connection((address(lab), SINK_PORT), 60) as connection:
        since = time.monotonic()
        connection.sendall(bytes(MEGABYTE))
        connection.shutdown(socket.SHUT_WR)
        assert int(connection.recv(100)) == MEGABYTE
        return time.monotonic() - since


def round_trip(lab: str) -> float:
    """The seconds that the fastest of a few connections to the worker takes."""
    there, times = (address(lab), 22), []
    for _ in range(5):
        since = time.monotonic()
        socket.create_connection(there, 10).close()
        times.append(time.monotonic() - since)
    return min(times)


def refused(*command: str) -> str:
    """What a command says that needs a node whose link is down. It says so soon."""
    began = time.monotonic()
    ran = labgen(*command, check=False)
    assert ran.status == 50, ran
    assert time.monotonic() - began < QUICK, ran.stderr
    assert f"worker1 of '{LAB}' is cut off from the network: its link is down" in ran.stderr
    assert f"labgen net {LAB} worker1 --up" in ran.stderr
    return ran.stderr


def test_a_link_goes_down_and_up_and_machine_and_swarm_see_it(wired: str) -> None:
    node_output(wired, "worker1", "sudo", "systemd-run", "--quiet", "sh", "-c", WATCH)
    assert network(wired)["up"]
    assert answers(wired)
    labgen("net", wired, "worker1", "--down")
    assert network(wired) == {"node": "worker1", "up": False} | dict.fromkeys(
        ("delay", "loss", "rate", "rate_direction")
    )
    assert links(wired) == ("down", "down")
    assert network(wired, "manager1")["up"]
    assert not answers(wired)
    eventually("the Swarm notices", lambda: in_swarm(wired) == "down")
    labgen("net", wired, "worker1", "--down")  # changes nothing
    labgen("net", wired, "worker1", "--up")
    assert links(wired) == ("up", "up")
    eventually("the Swarm has it again", lambda: in_swarm(wired) == "ready")
    carriers = node_output(wired, "worker1", "cat", "/run/carrier").split()
    assert [carriers[0], carriers[-1]] == ["1", "1"]
    assert carriers.count("0") >= 5  # the Swarm needs longer than that to notice
    assert "nothing to do" in labgen("start", wired).stdout


def test_commands_say_at_once_that_a_link_is_down(unplugged: str, tmp_path: Path) -> None:
    shown = labgen("status", unplugged)
    assert f"network of worker1: down (labgen net {unplugged} worker1 --reset)" in shown.stderr
    checked = labgen("status", unplugged, "--check", "--format", "json", check=False)
    assert checked.status == 50
    [finding] = [each for each in json.loads(checked.stdout)["health"] if each["node"] == "worker1"]
    assert finding["evidence"].startswith("its link is down")
    assert finding["fix"] == f"labgen net {unplugged} worker1 --up"
    refused("ssh", unplugged, "worker1", "--", "true")
    refused("exec", unplugged, "--node", "worker1", "--", "true")
    refused("start", unplugged)
    refused("export", unplugged, "--depth", "running", "-o", str(tmp_path / "it.labgen"))
    assert links(unplugged) == ("down", "down")


def test_a_link_stays_down_without_power_and_in_saved_memory(unplugged: str) -> None:
    labgen("kill", unplugged, "worker1")
    assert network(unplugged)["up"] is False
    off = labgen("net", unplugged, "worker1", "--delay", "10ms", check=False)
    assert (off.status, "worker1 of 'wired' is stopped" in off.stderr) == (50, True)
    refused("start", unplugged, "worker1")
    assert links(unplugged) == ("down", "down")
    labgen("suspend", unplugged)
    assert network(unplugged)["up"] is False
    assert labgen("net", unplugged, "worker1", "--up", check=False).status == 2
    told = refused("resume", unplugged)
    assert "worker1: its clock cannot be set, because its link is down" in told
    assert links(unplugged) == ("down", "down")
    labgen("kill", unplugged, "worker1")
    labgen("net", unplugged, "worker1", "--up")
    labgen("start", unplugged, "worker1")
    assert links(unplugged) == ("up", "up")


def test_what_the_kernel_is_told_it_does_and_tells_again(wired: str) -> None:
    """In a machine, whose kernel has netem whether or not the host's does."""

    def tc(*words: str) -> str:
        return node_output(wired, "worker1", "sudo", "tc", *words)

    wanted = Impairment(delay=100_000, loss=0.1, rate=10_000_000)
    try:
        tc("qdisc", "replace", "dev", "lo", "root", *shaping._discipline(wanted))
        [shown] = json.loads(tc("-json", "qdisc", "show", "dev", "lo"))
        assert shaping._read(shown) == wanted
        times = re.findall(r"time=([0-9.]+) ms", node_output(wired, "worker1", "ping", "-c", "5", "127.0.0.1"))
        assert times
        assert all(200 <= float(each) < 1000 for each in times)
    finally:
        tc("qdisc", "del", "dev", "lo", "root")


def test_a_checkpoint_has_the_links_of_its_moment(unplugged: str) -> None:
    labgen("checkpoint", "save", unplugged, "cut")
    labgen("net", unplugged, "worker1", "--up")
    assert answers(unplugged)
    labgen("checkpoint", "restore", unplugged, "cut", "--yes")
    assert links(unplugged) == ("down", "down")
    labgen("net", unplugged, "worker1", "--up")
    assert answers(unplugged)
    labgen("checkpoint", "delete", unplugged, "cut")


def test_a_rate_slows_a_transfer_down_until_it_is_reset(wired: str) -> None:
    node_output(wired, "worker1", "sudo", "systemd-run", "--quiet", "python3", "-c", SINK)
    before = eventually("the worker listens", lambda: took(wired))
    changed = labgen("net", wired, "worker1", "--rate", "1mbit", "--format", "json")
    assert json.loads(changed.stdout)[0]["rate"] == "1mbit"
    limited = took(wired)
    assert 7 < limited < 40  # 8 s for eight megabits, less a first burst
    assert limited > 3 * before
    assert "rate 1mbit" in labgen("status", wired).stderr
    assert network(wired, "manager1")["rate"] is None
    labgen("checkpoint", "save", wired, "slow")
    assert network(wired)["rate"] == "1mbit"
    labgen("checkpoint", "delete", wired, "slow")
    labgen("net", wired, "--reset")
    assert network(wired)["rate"] is None
    assert "network of" not in labgen("status", wired).stderr
    assert took(wired) < limited / 3


def test_delay_and_loss_take_hold_or_the_kernels_lack_is_named(wired: str) -> None:
    before, since = network(wired), round_trip(wired)
    ran = labgen("net", wired, "worker1", "--delay", "300ms", "--loss", "1%", check=False)
    if ran.status == 0:
        assert (network(wired)["delay"], network(wired)["loss"]) == ("300ms", "1%")
        assert round_trip(wired) > since + 0.2
        labgen("net", wired, "worker1", "--rate", "10mbit")
        assert (network(wired)["delay"], network(wired)["rate"]) == ("300ms", "10mbit")
        labgen("net", wired, "worker1", "--reset")
        assert round_trip(wired) < 0.3
    else:
        assert ran.status == 20
        assert "this host's kernel cannot delay or lose packets: it has no netem" in ran.stderr
        assert "qdisc kind is unknown" in ran.stderr
        assert "sudo modprobe sch_netem" in ran.stderr
    assert network(wired) == before
