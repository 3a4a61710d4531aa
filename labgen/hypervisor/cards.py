"""Network cards without a bridge, which result from stopping a network under running machines.

libvirt starts the network again, but connects nothing to it. It does connect a card whose definition changes to
another type of connection, even to the same bridge; so a card is moved from the network to its bridge, and back.
"""

from collections.abc import Callable
from xml.etree import ElementTree

import libvirt

from labgen.hypervisor.explained import explained
from labgen.model import Network


class Cards:
    """Every method raises HypervisorError when libvirt refuses."""

    def __init__(self, connection: libvirt.virConnect, lacks_bridge: Callable[[str], bool]) -> None:
        """:param lacks_bridge: the host's answer for an interface, see :meth:`labgen.host.Host.lacks_bridge`."""
        self._connection = connection
        self._lacks_bridge = lacks_bridge

    def in_network(self, prefix: str, network: Network) -> set[str]:
        """The domains whose names start so, and that have a card in the network, whether or not they run."""
        with explained("reading the machines' network cards"):
            return {
                each.name()
                for each in self._connection.listAllDomains()
                if each.name().startswith(prefix) and cards_in(each.XMLDesc(), network)
            }

    def cut_off(self, prefix: str, network: Network) -> set[str]:
        """The domains whose names start so, and that run with a card in the network that is in no bridge."""
        with explained("checking the network cards"):
            return {
                each.name()
                for each in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
                if each.name().startswith(prefix) and self._without_bridge(each, network)
            }

    def reconnect(self, name: str, network: Network) -> None:
        """Reconnects a running machine's cards to their network, which must be active; the machine keeps running."""
        with explained(f"connecting {name} to the network {network.name}"):
            domain = self._connection.lookupByName(name)
            for card in self._without_bridge(domain, network):
                for step in way_back(card, network):
                    domain.updateDeviceFlags(step, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _without_bridge(self, domain: libvirt.virDomain, network: Network) -> list[ElementTree.Element]:
        return [card for card in cards_in(domain.XMLDesc(), network) if self._has_lost_its_bridge(card)]

    def _has_lost_its_bridge(self, card: ElementTree.Element) -> bool:
        interface = interface_of(card)
        return bool(interface) and self._lacks_bridge(interface)


def way_back(card: ElementTree.Element, network: Network) -> list[str]:
    """The definitions (XML) to apply to a card, in order, to reconnect it to its network. Pure.

    After the first one it is already connected: nothing is lost if the second is never applied.
    """
    in_bridge, in_network = _moved(card, "bridge", network.bridge), _moved(card, "network", network.name)
    return [in_network] if card.get("type") == "bridge" else [in_bridge, in_network]


def cards_in(xml: str, network: Network) -> list[ElementTree.Element]:
    """The cards in the network, of a machine with this definition. Pure."""
    found = ElementTree.fromstring(xml).iter("interface")  # noqa: S314 - libvirt's own
    return [card for card in found if _is_in(card, network)]


def interface_of(card: ElementTree.Element) -> str:
    """The host's end of a card, e.g. ``vnet3``; empty if the machine is off. Pure."""
    target = card.find("target")
    return target.get("dev", "") if target is not None else ""


def _moved(card: ElementTree.Element, kind: str, name: str) -> str:
    changed = ElementTree.fromstring(ElementTree.tostring(card))  # noqa: S314 - a copy
    changed.set("type", kind)
    for source in changed.findall("source"):
        source.attrib.clear()
        source.set(kind, name)
    return ElementTree.tostring(changed, encoding="unicode")


def _is_in(card: ElementTree.Element, network: Network) -> bool:
    source = card.find("source")
    return source is not None and (source.get("network") == network.name or source.get("bridge") == network.bridge)
