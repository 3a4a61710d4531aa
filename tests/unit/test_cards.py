"""Machines whose network was stopped while they ran; tests/vm checks that real ones are reconnected."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from labgen.cli import cli
from labgen.errors import GuestError, HypervisorError
from labgen.hypervisor.cards import Cards, way_back
from labgen.lab import exec as exec_
from labgen.lab.start import start
from labgen.model import Lab, Network
from labgen.records import journals
from labgen.ssh import Connection, Target
from tests.unit.host import Host, host
from tests.unit.test_lab import Heard, make

__all__ = ["host"]  # a fixture

NETWORK = Network("labgen-000000_lab", "lg0", "10.77.0.0/24", "10.77.0.1")
CARD = """<interface type='network'>
  <mac address='52:54:00:11:22:33'/>
  <source network='labgen-000000_lab' portid='c645ad11-f2ce-48af-a5b4-c5326d847c6c' bridge='lg0'/>
  <target dev='vnet0'/>
  <model type='virtio'/>
  <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
</interface>"""


@pytest.fixture
def interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's network interfaces; a machine's has a bridge if there is a ``master``."""
    directory = tmp_path / "interfaces"
    directory.mkdir()
    monkeypatch.setattr("labgen.host.local._INTERFACES", directory)
    return directory


def stop_network(host: Host, interfaces: Path, *without: str) -> Lab:
    """Stops a lab's network: some nodes' interfaces lose their bridge, those of the others are unchanged."""
    lab = journals.load("lab").lab
    host.libvirt.networkLookupByName(lab.network.name).destroy()
    for node in lab.nodes:
        interface = interfaces / f"tap-{node.name}"
        (interface if node.name in without else interface / "master").mkdir(parents=True)
    return lab


def test_a_card_goes_from_the_network_to_its_bridge_and_back() -> None:
    steps = [ElementTree.fromstring(step) for step in way_back(ElementTree.fromstring(CARD), NETWORK)]
    sources = [(step.get("type"), step.find("source").attrib) for step in steps]  # type: ignore[union-attr]
    assert sources == [("bridge", {"bridge": "lg0"}), ("network", {"network": "labgen-000000_lab"})]
    card = ElementTree.fromstring(CARD)
    for step in steps:  # libvirt refuses a card if anything else in it differs
        assert [(part.tag, part.attrib) for part in step if part.tag != "source"] == [
            (part.tag, part.attrib) for part in card if part.tag != "source"
        ]


def test_a_card_that_was_left_in_the_bridge_goes_into_the_network() -> None:
    [half_way, _] = way_back(ElementTree.fromstring(CARD), NETWORK)
    [step] = [ElementTree.fromstring(each) for each in way_back(ElementTree.fromstring(half_way), NETWORK)]
    assert (step.get("type"), step.find("source").attrib) == (  # type: ignore[union-attr]
        "network",
        {"network": "labgen-000000_lab"},
    )


def test_start_reconnects_who_lost_the_network(host: Host, interfaces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    lab = stop_network(host, interfaces, "manager1", "worker2")
    reconnected: list[str] = []

    def reconnect(_self: Cards, name: str, network: Network) -> None:
        assert host.libvirt.networkLookupByName(network.name).isActive()
        reconnected.append(name)

    monkeypatch.setattr(Cards, "reconnect", reconnect)
    heard = Heard()
    assert start("lab", heard).changed
    assert reconnected == [lab.node("manager1").domain, lab.node("worker2").domain]
    assert heard.notes == [f"reconnected {name} to its network" for name in ("manager1", "worker2")]


def test_what_libvirt_will_not_reconnect_has_a_way_out(host: Host, interfaces: Path) -> None:
    """The test driver changes no cards."""
    make()
    stop_network(host, interfaces, "worker1")
    with pytest.raises(HypervisorError, match="worker1 is disconnected from its network") as caught:
        start("lab", Heard())
    assert "not supported" in caught.value.details
    assert "labgen stop lab; labgen start lab" in caught.value.resolution
    assert caught.value.exit_code == 40


def test_status_and_exec_say_so(host: Host, interfaces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    lab = stop_network(host, interfaces, "worker1")
    shown = CliRunner().invoke(cli, ["status", "lab", "--check", "--format", "json"])
    assert shown.exit_code == GuestError.exit_code
    failed = [each for each in json.loads(shown.stdout)["health"] if each["status"] == "fail"]
    evidence = f"its network interface is not attached to a bridge, as after 'virsh net-destroy {lab.network.name}'"
    assert [(each["node"], each["check"], each["evidence"]) for each in failed] == [("worker1", "machine", evidence)]
    shown = CliRunner().invoke(cli, ["status", "lab"])
    assert shown.exit_code == 0
    assert "disconnected from the network: worker1. Reconnect: labgen start lab" in shown.stderr
    host.unreachable = "worker1"
    with pytest.raises(GuestError, match="worker1 of 'lab' is disconnected from its network") as caught:
        exec_.run("lab", ["worker1"], ["true"], None, None)  # type: ignore[arg-type]  # there is no output
    assert caught.value.resolution == "labgen start lab"


def test_a_status_asks_no_manager_that_is_cut_off(
    host: Host, interfaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    stop_network(host, interfaces, "manager1")
    asked: list[str] = []
    open_connection = Connection.open

    def noted(target: Target, limit: float) -> Connection:
        asked.append(target.name)
        return open_connection(target, limit)

    monkeypatch.setattr(Connection, "open", noted)
    assert CliRunner().invoke(cli, ["status", "lab"]).exit_code == 0
    assert asked == ["worker1", "worker2"]  # one may have been promoted
