"""A machine's definition for libvirt, made from its disks without Vagrant. Pure.

It matches what vagrant-libvirt defines from our Vagrantfile, in the same order, so that Vagrant can take over the
machine.
"""

import base64
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from labgen import paths
from labgen.model import EMULATED, Disk, Lab, Libvirt, Node

CREDENTIAL = "io.systemd.credential.binary:labgen."
AGENT = "org.qemu.guest_agent.0"  # the channel that QEMU's guest agent listens on
ROOT = "root"  # what bundles and templates call the root disk
CONTROLLERS = ("usb", "virtio-serial")


@dataclass(frozen=True)
class Hardware:
    """The hardware that a machine's saved memory depends on; a machine that resumes from it must have the same.

    :param machine: QEMU's machine type. :param slots: PCI slot and function, such as ``3.0``, by device; without an
        entry libvirt chooses.
    """

    machine: str = "pc"
    slots: Mapping[str, str] = field(default_factory=dict)


def hardware(xml: str) -> Hardware:
    """Reads a machine's hardware from its libvirt definition."""
    tree = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own
    devices = {f"controller[@type='{kind}']": kind for kind in CONTROLLERS}
    names = [target.get("dev", "") for target in tree.findall("devices/disk[@device='disk']/target")]
    devices |= {f"disk/target[@dev='{device}']/..": device for device in names}
    devices |= {kind: kind for kind in ("interface", "memballoon", "rng")}
    slots = {}
    for path, device in devices.items():
        address = tree.find(f"devices/{path}/address[@type='pci']")
        if address is not None:
            slots[device] = f"{int(address.get('slot', '0'), 16)}.{int(address.get('function', '0'), 16)}"
    kind = tree.find("os/type")
    return Hardware(kind.get("machine", "pc") if kind is not None else "pc", slots)


def domain_xml(
    lab: Lab, node: Node, libvirt: Libvirt, directory: Path, public_key: str, *, built: Hardware = Hardware()
) -> str:
    """:param libvirt: the host's. :param directory: the lab's.

    :param public_key: the public half of the lab's key, one line in OpenSSH format.
    :param built: hardware to reproduce, for a machine that resumes with another machine's memory.
    """
    domain = Element("domain", type="kvm" if lab.accelerator == "kvm" else "qemu")
    SubElement(domain, "name").text = node.domain
    SubElement(domain, "description").text = lab.identity
    SubElement(domain, "memory", unit="MiB").text = str(node.memory_mib)
    SubElement(domain, "vcpu").text = str(node.cpus)
    _identity(domain, lab, node, public_key)
    system = SubElement(domain, "os")
    SubElement(system, "type", arch="x86_64", machine=built.machine).text = "hvm"
    SubElement(system, "boot", dev="hd")
    SubElement(system, "smbios", mode="sysinfo")
    features = SubElement(domain, "features")
    for feature in ("acpi", "apic", "pae"):
        SubElement(features, feature)
    _processor(domain, lab)
    SubElement(domain, "clock", offset="utc")
    devices = SubElement(domain, "devices")
    placed = {
        **{kind: SubElement(devices, "controller", type=kind, index="0") for kind in CONTROLLERS},
        "vda": _disk(devices, "vda", libvirt.path(root_volume(node))),
        **{
            device: _disk(devices, device, libvirt.path(volume), disk.serial)
            for device, (disk, volume) in _data(node).items()
        },
        "interface": _network_card(devices, lab, node),
        "memballoon": SubElement(devices, "memballoon", model="virtio"),
        "rng": _random(devices),
    }
    for device, slot in built.slots.items():
        _sit(placed[device], slot)
    _console(devices, directory / paths.LOGS / f"{node.name}.console.log")
    agent = SubElement(devices, "channel", type="unix")
    SubElement(agent, "target", type="virtio", name=AGENT)
    ElementTree.indent(domain)
    return ElementTree.tostring(domain, encoding="unicode") + "\n"


def root_volume(node: Node) -> str:
    """vagrant-libvirt's name for a node's root disk in the pool."""
    return f"{node.domain}.img"


def devices(node: Node) -> set[str]:
    """The devices of a node's machine that can have a PCI slot, named as in :class:`Hardware`."""
    return {*CONTROLLERS, "vda", *_data(node), "interface", "memballoon", "rng"}


def volumes(node: Node) -> dict[str, str]:
    """A node's volumes in the pool, by disk name, the root disk first."""
    return {ROOT: root_volume(node)} | {disk.name: volume for disk, volume in _data(node).values()}


def sizes(node: Node) -> dict[str, int]:
    """The sizes of a node's disks in GiB, by disk name."""
    return {ROOT: node.disk_gib} | {disk.name: disk.gib for disk in node.disks}


def _data(node: Node) -> dict[str, tuple[Disk, str]]:
    """The disks other than the root disk, by device, each with vagrant-libvirt's name for its volume."""
    devices = [f"vd{letter}" for letter in string.ascii_lowercase[1 : 1 + len(node.disks)]]
    return {device: (disk, f"{node.domain}-{device}.qcow2") for device, disk in zip(devices, node.disks, strict=True)}


def _identity(domain: Element, lab: Lab, node: Node, public_key: str) -> None:
    smbios = SubElement(domain, "sysinfo", type="smbios")
    if lab.accelerator == "tcg":
        SubElement(SubElement(smbios, "system"), "entry", name="family").text = EMULATED
    strings = SubElement(smbios, "oemStrings")
    for name, value in {"hostname": node.name, "authorized_keys": public_key}.items():
        SubElement(strings, "entry").text = f"{CREDENTIAL}{name}={base64.b64encode(value.encode()).decode()}"


def _processor(domain: Element, lab: Lab) -> None:
    if lab.accelerator == "kvm":
        SubElement(domain, "cpu", mode="host-passthrough")
        return
    # QEMU 7.2 emulates cmpxchg16b incorrectly, which crashes Linux 6.12: the feature is disabled.
    processor = SubElement(domain, "cpu", mode="custom", match="exact", check="none")
    SubElement(processor, "model", fallback="allow").text = "Nehalem"
    SubElement(processor, "feature", policy="disable", name="cx16")


def _disk(devices: Element, device: str, path: str, serial: str = "") -> Element:
    disk = SubElement(devices, "disk", type="file", device="disk")
    SubElement(disk, "driver", name="qemu", type="qcow2")
    SubElement(disk, "source", file=path)
    SubElement(disk, "target", dev=device, bus="virtio")
    if serial:
        SubElement(disk, "serial").text = serial
    return disk


def _network_card(devices: Element, lab: Lab, node: Node) -> Element:
    card = SubElement(devices, "interface", type="network")
    SubElement(card, "mac", address=node.mac)
    SubElement(card, "source", network=lab.network.name)
    SubElement(card, "model", type="virtio")
    return card


def _random(devices: Element) -> Element:
    random = SubElement(devices, "rng", model="virtio")
    SubElement(random, "backend", model="random").text = "/dev/random"
    return random


def _sit(device: Element, slot: str) -> None:
    number, function = slot.split(".")
    address = {"type": "pci", "domain": "0x0000", "bus": "0x00"}
    SubElement(device, "address", address, slot=f"0x{int(number):02x}", function=f"0x{int(function):x}")


def _console(devices: Element, log: Path) -> None:
    serial = SubElement(devices, "serial", type="file")
    SubElement(serial, "source", path=str(log))
    SubElement(serial, "target", port="0")
