"""The links of machines' network cards: up, or down as if the cable were unplugged; and libvirt's limits on them.

The state of a link is kept in two places: in the running machine, and in its definition, from which it boots next.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

import libvirt

from labgen.hypervisor.cards import cards_in, interface_of
from labgen.hypervisor.explained import explained
from labgen.model import Network

BYTES = 1000  # libvirt's unit for limits is a thousand bytes per second; it passes them to tc as "kbps"


@dataclass(frozen=True)
class Link:
    """A machine's connection to its lab's network.

    :param up: whether its card's link is up; if the machine is off: whether it will be.
    :param interface: the host's end of it, e.g. ``vnet3``; empty if the machine is off.
    :param receives: libvirt's limit on what the machine receives, in bit/s; 0: none. :param sends: and sends.
    """

    up: bool
    interface: str = ""
    receives: int = 0
    sends: int = 0


class Links:
    """Every method raises HypervisorError when libvirt refuses."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection

    def found(self, prefix: str, network: Network) -> dict[str, Link]:
        """The links of the domains whose names start so, by domain name; without those that have no card in it."""
        with explained("reading the machines' network cards"):
            definitions = {
                each.name(): each.XMLDesc()
                for each in self._connection.listAllDomains()
                if each.name().startswith(prefix)
            }
        cards = {name: cards_in(xml, network) for name, xml in definitions.items()}
        return {name: _link(each) for name, each in cards.items() if each}

    def down(self, prefix: str, network: Network) -> frozenset[str]:
        """The domains whose names start so, and whose links are down, whether or not they run."""
        return frozenset(name for name, link in self.found(prefix, network).items() if not link.up)

    def set(self, name: str, network: Network, *, up: bool) -> None:
        """Sets the link of a machine's card, now and for later boots, as ``virsh domif-setlink --config`` does.

        A machine whose memory is saved keeps the link that it had when it was saved.
        """
        with explained(f"setting the link of {name} {'up' if up else 'down'}"):
            domain = self._connection.lookupByName(name)
            places = [(libvirt.VIR_DOMAIN_XML_INACTIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)]
            if domain.isActive():
                places.insert(0, (0, libvirt.VIR_DOMAIN_AFFECT_LIVE))
            for read, write in places:
                for card in cards_in(domain.XMLDesc(read), network):
                    if is_up(card) != up:
                        domain.updateDeviceFlags(with_link(card, up=up), write)

    def keep(self, name: str, network: Network) -> None:
        """Writes the link that a running machine has now into its definition, e.g. one restored with its memory."""
        if link := self.found(name, network).get(name):
            self.set(name, network, up=link.up)

    def limit(self, name: str, network: Network, *, receives: int = 0, sends: int = 0) -> None:
        """Limits a running machine's traffic until it is switched off, without rights of its own on the host.

        libvirt's unit is coarse: :meth:`found` returns the exact limits.

        :param receives: in bit/s; 0: no limit. :param sends: the same.
        :raises HypervisorError: also if the host's kernel lacks a part; the details are then the words of tc.
        """
        limits = {
            libvirt.VIR_DOMAIN_BANDWIDTH_IN_AVERAGE: _in_libvirts_unit(receives),
            libvirt.VIR_DOMAIN_BANDWIDTH_OUT_AVERAGE: _in_libvirts_unit(sends),
        }
        with explained(f"limiting the traffic of {name}"):
            domain = self._connection.lookupByName(name)
            for card in cards_in(domain.XMLDesc(), network):
                domain.setInterfaceParameters(interface_of(card), limits, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def is_up(card: ElementTree.Element) -> bool:
    """Whether a card (XML) has its link up, which is the default. Pure."""
    link = card.find("link")
    return link is None or link.get("state") != "down"


def with_link(card: ElementTree.Element, *, up: bool) -> str:
    """A card's definition (XML), with its link up or down and all else as it is: libvirt refuses other changes."""
    changed = ElementTree.fromstring(ElementTree.tostring(card))  # noqa: S314 - a copy
    link = changed.find("link")
    if link is None:
        link = ElementTree.SubElement(changed, "link")
    link.set("state", "up" if up else "down")
    return ElementTree.tostring(changed, encoding="unicode")


def _link(cards: list[ElementTree.Element]) -> Link:
    """labgen's machines have one card in their network; a second one is a user's, and shares its fate."""
    return Link(
        all(is_up(card) for card in cards),
        interface_of(cards[0]),
        _limit(cards[0], "inbound"),
        _limit(cards[0], "outbound"),
    )


def _limit(card: ElementTree.Element, direction: str) -> int:
    """:param direction: seen from the machine."""
    found = card.find(f"bandwidth/{direction}")
    return int(found.get("average", "0")) * BYTES * 8 if found is not None else 0


def _in_libvirts_unit(rate: int) -> int:
    """:param rate: in bit/s. One that is not 0 must not become 0, which is no limit."""
    return max(round(rate / 8 / BYTES), 1) if rate else 0
