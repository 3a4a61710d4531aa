"""From a lab to its files. Pure; writing them is a separate step."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree import ElementTree

from labgen import clients, paths
from labgen.files import write_atomically
from labgen.model import EMULATED, Lab, Libvirt
from labgen.plan import scripts
from labgen.templating import filled

XMLNS = "urn:labgen:lab:1"


def render(lab: Lab, libvirt: Libvirt, directory: Path, profile: str, provision: Mapping[str, str]) -> dict[str, str]:
    """All files of a lab's directory, by relative path.

    :param libvirt: the host's. :param directory: where they will be; absolute, because some files contain it.
    :param profile: as resolved, YAML. :param provision: the profile's extra scripts by guest file name.
    """
    files = {
        paths.VAGRANTFILE: vagrantfile(lab, libvirt),
        paths.NETWORK_XML: network_xml(lab),
        paths.INVENTORY: clients.inventory(lab, directory),
        paths.SSH_CONFIG: clients.ssh_config(lab, directory),
        paths.PROFILE: profile,
    }
    for script in scripts(lab):
        text = provision.get(script)
        files[f"{paths.GUEST_DIR}/{script}"] = (
            text if text is not None else (paths.guest_scripts() / script).read_text()
        )
    return files


def write(files: Mapping[str, str], directory: Path) -> None:
    """Writes rendered files; scripts become executable."""
    for name, text in files.items():
        write_atomically(directory / name, text, 0o755 if name.startswith(f"{paths.GUEST_DIR}/") else 0o644)


def network_xml(lab: Lab) -> str:
    """The libvirt network: NAT, and an address reserved for every node."""
    network = ElementTree.Element("network")
    ElementTree.SubElement(network, "name").text = lab.network.name
    metadata = ElementTree.SubElement(network, "metadata")
    ElementTree.SubElement(metadata, "labgen:lab", {"xmlns:labgen": XMLNS}).text = lab.identity
    ElementTree.SubElement(network, "forward", {"mode": "nat"})
    ElementTree.SubElement(network, "bridge", {"name": lab.network.bridge, "stp": "off", "delay": "0"})
    netmask = str(IPv4Network(lab.network.subnet).netmask)
    ip = ElementTree.SubElement(network, "ip", {"address": lab.network.gateway, "netmask": netmask})
    dhcp = ElementTree.SubElement(ip, "dhcp")
    ElementTree.SubElement(dhcp, "range", {"start": lab.nodes[0].address, "end": lab.nodes[-1].address})
    for node in lab.nodes:
        ElementTree.SubElement(dhcp, "host", {"mac": node.mac, "name": node.name, "ip": node.address})
    ElementTree.indent(network)
    return ElementTree.tostring(network, encoding="unicode") + "\n"


@dataclass(frozen=True)
class NodeBox:
    """A Vagrant box for a single node, with all its disks."""

    name: str
    version: str


def vagrantfile(
    lab: Lab, libvirt: Libvirt, *, portable: bool = False, machines: Mapping[str, NodeBox] | None = None
) -> str:
    """:param libvirt: the host's. :param portable: for any host: whether KVM works is then decided there, not here.

    :param machines: by node name; without any, all start from the lab's box and are prepared by the guest scripts.
    """
    values = {"lab": lab, "libvirt": libvirt, "portable": portable, "machines": machines or {}, "emulated": EMULATED}
    # This is Ruby: every string passes through the filter.
    return filled(paths.vagrantfile_template().read_text(), values, {"ruby": ruby_string})


def ruby_string(text: str) -> str:
    """A Ruby literal for any text: in single quotes only the quote and the backslash are special."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
