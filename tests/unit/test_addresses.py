"""Which addresses are in use by what, according to the real ip(8) in a separate network namespace."""

import json
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labgen.errors import HostError
from labgen.host import LOCAL, addresses
from labgen.hypervisor import LibvirtNetwork
from labgen.subnets import Use, conflict, covering

SET_UP = """
ip link set lo up
ip link add office type bridge; ip address add 10.4.5.6/16 dev office; ip link set office up
ip link add tun0 type bridge; ip address add 10.200.1.5 peer 10.200.1.6 dev tun0; ip link set tun0 up
ip route add 10.0.0.0/8 dev tun0
ip route add 10.55.0.0/16 via 10.4.0.1
ip route add 10.56.5.0/24 via 10.4.0.1
ip route add unreachable 10.57.0.0/16
ip route add 10.58.0.0/16 nexthop via 10.4.0.1 nexthop dev tun0
ip route add default via 10.4.0.1
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output of ip in a namespace with an office's network and a VPN."""
    asks = {each: f"ip -json -4 {each}" for each in ("address show", "route show table main")}
    script = SET_UP + "".join(f"echo; {ask}; " for ask in asks.values())
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", script]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace here: {made.stderr}")
    answers = dict(zip(asks, [json.loads(line) for line in made.stdout.splitlines() if line], strict=True))
    monkeypatch.setattr(addresses, "_ask", lambda *words: answers[" ".join(words)])


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("subnet", "find", "network", "who"),
    [
        ("10.4.9.0/24", conflict, "10.4.0.0/16", "this host's own network on office"),
        ("10.200.1.0/24", conflict, "10.200.1.5/32", "this host's own network on tun0"),
        ("10.56.5.0/24", conflict, "10.56.5.0/24", "a route through office"),
        ("10.55.5.0/24", covering, "10.55.0.0/16", "a route through office"),
        ("10.57.5.0/24", covering, "10.57.0.0/16", "a route of the kind 'unreachable'"),
        ("10.58.5.0/24", covering, "10.58.0.0/16", "a route through office"),
        ("10.77.0.0/24", covering, "10.0.0.0/8", "a route through tun0"),
    ],
)
def test_who_has_a_subnet(subnet: str, find: Callable[[str, list[Use]], Use | None], network: str, who: str) -> None:
    uses = addresses.of_host()
    found = find(subnet, uses)
    assert found is not None
    assert (found.network, found.who) == (IPv4Network(network), who)
    if find is covering:
        assert conflict(subnet, uses) is None


@pytest.mark.usefixtures("asked")
def test_a_default_route_covers_nothing() -> None:
    assert covering("172.16.0.0/24", addresses.of_host()) is None


def test_a_lab_is_named_before_the_bridge_that_is_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Use(IPv4Network("10.77.0.0/24"), "this host's own network on lg1")
    monkeypatch.setattr(addresses, "of_host", lambda: [own])
    network = LibvirtNetwork("other", "virbr0", True, ("10.77.3.1/255.255.255.0",))
    uses = addresses.in_use({"first": "10.77.0.0/24"}, [network], LOCAL)
    assert [str(each) for each in uses] == [
        "10.77.0.0/24 (the lab 'first')",
        "10.77.3.0/24 (libvirt's network 'other')",
        "10.77.0.0/24 (this host's own network on lg1)",
    ]


@pytest.mark.parametrize("does", ["", "exit 1", "echo Usage: ip"])
def test_an_ip_that_does_not_do(does: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is missing, it fails, or it is busybox's, which has no JSON output."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("labgen.surroundings.SYSTEM_PROGRAMS", "")
    if does:
        program = tmp_path / "ip"
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    with pytest.raises(HostError) as caught:
        addresses.of_host()
    assert "ip -json -4" in caught.value.details
