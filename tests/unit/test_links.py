"""Links of cards, set in running machines and in definitions; tests/vm checks that real machines notice."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from labgen.errors import HypervisorError
from labgen.hypervisor import Link, Links
from tests.unit.test_cards import CARD, NETWORK

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
STORED = """<interface type='network'>
  <mac address='52:54:00:11:22:33'/>
  <source network='labgen-000000_lab'/>
  <model type='virtio'/>
</interface>"""
OTHER = "<interface type='network'><source network='other'/><target dev='vnet9'/><link state='down'/></interface>"
LIMITED = CARD.replace("<model", "<bandwidth><inbound average='125'/><outbound average='62'/></bandwidth><model")


@dataclass
class FakeDomain:
    """A domain whose cards change as libvirt changes them: in the place that the flags name, and only their links."""

    label: str
    places: dict[int, str]  # a card's definition, by flag
    also: str = ""
    limits: list[tuple[str, dict[str, int], int]] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)

    def name(self) -> str:
        return self.label

    def isActive(self) -> bool:  # noqa: N802 - libvirt's
        return LIVE in self.places

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        place = LIVE if self.isActive() and not flags & libvirt.VIR_DOMAIN_XML_INACTIVE else CONFIG
        return f"<domain><devices>{self.also}{self.places[place]}</devices></domain>"

    def updateDeviceFlags(self, xml: str, flags: int) -> None:  # noqa: N802
        old, new = (ElementTree.fromstring(each) for each in (self.places[flags], xml))
        for part in ("mac", "source", "target", "model", "address"):
            before, after = old.find(part), new.find(part)
            assert (before is None) == (after is None), part
            assert before is None or after is None or before.attrib == after.attrib, part
        self.places[flags] = xml
        self.changes.append(flags)

    def setInterfaceParameters(self, interface: str, limits: dict[str, int], flags: int) -> None:  # noqa: N802
        self.limits.append((interface, limits, flags))


def links(*domains: FakeDomain) -> Links:
    by_name = {each.label: each for each in domains}
    connection: Any = SimpleNamespace(listAllDomains=lambda: list(domains), lookupByName=by_name.__getitem__)
    return Links(connection)


def running(card: str = CARD, **also: str) -> FakeDomain:
    return FakeDomain("lab_worker1", {LIVE: card, CONFIG: STORED}, **also)


def test_a_link_goes_down_and_up_in_the_machine_and_in_its_definition() -> None:
    domain = running(also=OTHER)
    taken = links(domain)
    assert taken.found("lab_", NETWORK) == {"lab_worker1": Link(up=True, interface="vnet0")}
    assert taken.down("lab_", NETWORK) == set()
    taken.set("lab_worker1", NETWORK, up=False)
    assert domain.changes == [LIVE, CONFIG]
    assert taken.down("lab_", NETWORK) == {"lab_worker1"}
    del domain.places[LIVE]  # it goes off
    assert taken.found("lab_", NETWORK) == {"lab_worker1": Link(up=False)}
    taken.set("lab_worker1", NETWORK, up=True)
    assert domain.changes == [LIVE, CONFIG, CONFIG]
    assert taken.found("lab_", NETWORK) == {"lab_worker1": Link(up=True)}
    assert OTHER in domain.XMLDesc()


def test_only_the_place_that_differs_is_changed() -> None:
    domain = running()
    taken = links(domain)
    taken.set("lab_worker1", NETWORK, up=True)
    assert domain.changes == []
    domain.places[CONFIG] = STORED.replace("<model", "<link state='down'/><model")  # by virsh, for the next boot
    assert taken.down("lab_", NETWORK) == set()
    taken.set("lab_worker1", NETWORK, up=True)
    assert domain.changes == [CONFIG]


def test_only_the_labs_own_network_and_machines_count() -> None:
    taken = links(
        FakeDomain("lab_a", {LIVE: OTHER, CONFIG: STORED}),
        FakeDomain("other_b", {CONFIG: STORED.replace("<model", "<link state='down'/><model")}),
    )
    assert taken.found("lab_", NETWORK) == {}
    assert taken.down("lab_", NETWORK) == set()


def test_limits_are_in_bits_here_and_in_thousands_of_bytes_there() -> None:
    domain = running(LIMITED)
    taken = links(domain)
    found = taken.found("lab_", NETWORK)["lab_worker1"]
    assert (found.receives, found.sends) == (1_000_000, 496_000)
    taken.limit("lab_worker1", NETWORK, receives=500_000, sends=1)
    assert domain.limits == [("vnet0", {"inbound.average": 62, "outbound.average": 1}, LIVE)]
    taken.limit("lab_worker1", NETWORK)
    assert domain.limits[1:] == [("vnet0", {"inbound.average": 0, "outbound.average": 0}, LIVE)]


def test_libvirt_itself_keeps_the_limits_and_shows_them() -> None:
    connection = libvirt.open("test:///default")
    domain = connection.defineXML(
        "<domain type='test'><name>lab_x</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>"
        f"<devices>{CARD.replace('vnet0', 'tap0')}</devices></domain>"  # the driver chooses its own vnet0
    )
    domain.create()
    try:
        taken = Links(connection)
        taken.limit("lab_x", NETWORK, receives=1_000_000, sends=8_000)
        assert taken.found("lab_", NETWORK) == {
            "lab_x": Link(up=True, interface="tap0", receives=1_000_000, sends=8_000)
        }
        taken.limit("lab_x", NETWORK)
        assert taken.found("lab_", NETWORK) == {"lab_x": Link(up=True, interface="tap0")}
    finally:
        domain.destroy()
        domain.undefine()
        connection.close()


def test_what_libvirt_refuses_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise libvirt.libvirtError("Child process (tc qdisc add dev vnet0 ... sfq) unexpected exit status 2")

    monkeypatch.setattr(FakeDomain, "setInterfaceParameters", refuse)
    monkeypatch.setattr(FakeDomain, "updateDeviceFlags", refuse)
    with pytest.raises(HypervisorError, match="limiting the traffic of lab_worker1 failed") as caught:
        links(running()).limit("lab_worker1", NETWORK, receives=8000)
    assert "sfq" in caught.value.details
    with pytest.raises(HypervisorError, match="setting the link of lab_worker1 down failed"):
        links(running()).set("lab_worker1", NETWORK, up=False)
