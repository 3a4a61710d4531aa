"""An open connection to libvirt: the host, its machines, its networks.

Volumes are in :mod:`pool`; freezing the disks of running machines is in :mod:`overlays`.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self
from xml.etree import ElementTree

import libvirt
import libvirt_qemu

from labgen.errors import HostError, HypervisorError
from labgen.hypervisor import heartbeat
from labgen.hypervisor.cards import Cards
from labgen.hypervisor.explained import explained
from labgen.hypervisor.links import Links
from labgen.hypervisor.overlays import Overlays, disk_sources
from labgen.hypervisor.pool import Pool
from labgen.model import Libvirt

AGENT_LIMIT = 60  # seconds for an answer from a guest agent

DomainState = Literal["running", "stopped", "suspended", "failed"]

_STATES: dict[int, DomainState] = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",
    libvirt.VIR_DOMAIN_PAUSED: "suspended",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_SHUTOFF: "stopped",
    libvirt.VIR_DOMAIN_CRASHED: "failed",
}


def _quiet(_context: object, _error: object) -> None:
    """An error handler that does nothing: libvirt's default prints every error to stderr, but labgen raises them."""


libvirt.registerErrorHandler(_quiet, None)


@dataclass(frozen=True)
class Domain:
    """A machine in libvirt. ``identity`` is its description, which shows the lab that it belongs to."""

    name: str
    state: DomainState
    identity: str
    uuid: str


@dataclass(frozen=True)
class LibvirtNetwork:
    """A network in libvirt; ``subnets`` are in CIDR notation."""

    name: str
    bridge: str
    active: bool
    subnets: tuple[str, ...]


class Hypervisor:
    """An open connection to libvirt; a context manager.

    Every method raises HypervisorError when libvirt refuses.

    :ivar libvirt: the host's libvirt that it is connected to.
    """

    def __init__(self, connection: libvirt.virConnect, where: Libvirt, lacks_bridge: Callable[[str], bool]) -> None:
        self._connection = connection
        self.libvirt = where
        self.pool = Pool(connection, where)
        self.overlays = Overlays(connection, where, self.pool)
        self.cards = Cards(connection, lacks_bridge)
        self.links = Links(connection)

    @classmethod
    def connect(cls, where: Libvirt, lacks_bridge: Callable[[str], bool], limit: float) -> Self:
        """Called by :meth:`labgen.host.Host.connect`, which has the first two arguments.

        :param limit: seconds.

        :raises HostError: libvirt does not answer.
        """
        outcome: list[libvirt.virConnect | libvirt.libvirtError] = []

        def attempt() -> None:
            try:
                heartbeat.prepare()
                connection = libvirt.open(where.uri)
                heartbeat.watch(connection)
                outcome.append(connection)
            except libvirt.libvirtError as error:
                outcome.append(error)

        # libvirt.open has no time limit, and hangs when the daemon does.
        opener = threading.Thread(target=attempt, daemon=True)
        opener.start()
        opener.join(limit)
        if outcome and isinstance(outcome[0], libvirt.virConnect):
            return cls(outcome[0], where, lacks_bridge)
        raise HostError(
            "libvirt does not answer",
            str(outcome[0]) if outcome else f"no connection to {where.uri} within {limit:.0f} s",
            "Run 'labgen doctor'; it shows what to do.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self._connection.close()

    def version(self) -> str:
        """libvirt's version, e.g. ``9.0.0``."""
        with explained("asking libvirt for its version"):
            number = self._connection.getLibVersion()
        return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"

    def capabilities(self) -> str:
        """libvirt's description of the host's capabilities (XML), for which it probes QEMU."""
        with explained("asking libvirt for its capabilities"):
            return str(self._connection.getDomainCapabilities(None, "x86_64", None, "qemu"))

    def host_processor(self) -> str:
        """libvirt's name for the host's processor, e.g. ``Intel Skylake-Server``; empty if it has none."""
        with explained("asking libvirt for the host's processor"):
            tree = ElementTree.fromstring(self._connection.getCapabilities())  # noqa: S314 - libvirt's own
        return " ".join(filter(None, (tree.findtext(f"host/cpu/{part}") for part in ("vendor", "model"))))

    def machine_types(self) -> set[str]:
        """The machine types that the host's QEMU supports."""
        with explained("asking libvirt for QEMU's machine types"):
            tree = ElementTree.fromstring(self._connection.getCapabilities())  # noqa: S314 - libvirt's own
        return {machine.text or "" for machine in tree.findall("guest/arch[@name='x86_64']/machine")}

    # domains

    def domains(self, prefix: str) -> list[Domain]:
        """The domains whose names start with the prefix."""
        with explained("listing the domains"):
            return [
                Domain(each.name(), _state(each), _description(each), each.UUIDString())
                for each in self._connection.listAllDomains()
                if each.name().startswith(prefix)
            ]

    def define(self, xml: str) -> str:
        """Defines a machine without starting it. :return: its UUID."""
        with explained("defining a machine"):
            return str(self._connection.defineXML(xml).UUIDString())

    def definition(self, name: str) -> str:
        """A machine's definition (XML), as it is stored in a file with its memory."""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
        with explained(f"reading the definition of {name}"):
            return str(self._connection.lookupByName(name).XMLDesc(flags))

    def ask_agent(self, name: str, command: str) -> str:
        """The answer of the guest agent in a machine to a command of QEMU's agent protocol (JSON)."""
        with explained(f"asking the agent of {name}"):
            return str(libvirt_qemu.qemuAgentCommand(self._connection.lookupByName(name), command, AGENT_LIMIT, 0))

    def machine_type(self, name: str) -> tuple[str, str]:
        """QEMU's machine type and the CPU model of a machine, e.g. ``pc-i440fx-7.2`` and ``Nehalem``."""
        with explained(f"reading the definition of {name}"):
            xml = self._connection.lookupByName(name).XMLDesc()
        tree = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own
        kind, processor = tree.find("os/type"), tree.find("cpu")
        model = tree.findtext("cpu/model") or (processor.get("mode", "") if processor is not None else "")
        return (kind.get("machine", "") if kind is not None else "", model or "")

    def qemu_version(self) -> str:
        """QEMU's version, e.g. ``7.2.15``."""
        with explained("asking libvirt for QEMU's version"):
            number = self._connection.getVersion()
        return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"

    def start(self, name: str, *, paused: bool = False) -> None:
        """Starts a machine, or resumes it if it is paused. :param paused: if it was off, start it paused."""
        with explained(f"starting {name}"):
            domain = self._connection.lookupByName(name)
            if not domain.isActive():
                domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
            elif domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()

    def go_on(self, name: str) -> bool:
        """Lets a machine go on that is paused, with its memory in place. :return: whether it was."""
        with explained(f"resuming {name}"):
            domain = self._connection.lookupByName(name)
            if domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
                return False
            domain.resume()
            return True

    def press_power_button(self, name: str) -> None:
        """Asks the machine to shut down; see :meth:`wait_until_off`."""
        with explained(f"shutting {name} down"):
            domain = self._connection.lookupByName(name)
            if domain.isActive():
                domain.shutdown()

    def wait_until_off(self, name: str, limit: float) -> bool:
        """:param limit: seconds. :return: whether the machine went off in time."""
        deadline = time.monotonic() + limit
        with explained(f"waiting for {name} to shut down"):
            domain = self._connection.lookupByName(name)
            while domain.isActive():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.5)
        return True

    def cut_power(self, name: str) -> None:
        """Switches a machine off, and discards its saved memory if there is any."""
        with explained(f"switching {name} off"):
            domain = self._connection.lookupByName(name)
            if domain.isActive():
                domain.destroy()
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

    def remove_domain(self, name: str) -> None:
        """Switches a machine off and undefines it, with its saved memory and snapshot records; keeps its volumes."""
        self.cut_power(name)
        with explained(f"removing {name}"):
            self._connection.lookupByName(name).undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            )

    # the state of machines at one moment: memory and disks

    def wait_until_idle(self, name: str, limit: float) -> None:
        """Waits until libvirt has finished its job on a machine, perhaps one of a labgen process that has ended.

        :param limit: seconds.
        """
        deadline = time.monotonic() + limit
        with explained(f"waiting for {name}"):
            domain = self._connection.lookupByName(name)
            while domain.isActive() and _has_job(domain):
                if time.monotonic() > deadline:
                    raise HypervisorError(f"libvirt is still busy with {name} after {limit:.0f} s")
                time.sleep(0.2)

    def pause(self, name: str) -> None:
        """Pauses a machine; :meth:`start` resumes it."""
        with explained(f"pausing {name}"):
            self._connection.lookupByName(name).suspend()

    def suspend(self, name: str) -> None:
        """Saves a machine's memory and switches it off; :meth:`start` resumes it from there."""
        with explained(f"saving the memory of {name}"):
            self._connection.lookupByName(name).managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)

    def save_memory(self, name: str, volume: str) -> None:
        """Saves a paused machine's memory to a file in the pool, and switches the machine off."""
        with explained(f"saving the memory of {name}"):
            self.pool.ensure()
            self._connection.lookupByName(name).save(self.libvirt.path(volume))

    def keep_memory(self, name: str, volume: str) -> None:
        """Saves a paused machine's memory to a new file in the pool; the machine stays paused."""
        xml = ElementTree.Element("domainsnapshot")
        ElementTree.SubElement(xml, "memory", snapshot="external", file=self.libvirt.path(volume))
        disks = ElementTree.SubElement(xml, "disks")
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
        with explained(f"saving the memory of {name}"):
            self.pool.ensure()
            domain = self._connection.lookupByName(name)
            for device in disk_sources(domain):
                ElementTree.SubElement(disks, "disk", name=device, snapshot="no")
            domain.snapshotCreateXML(ElementTree.tostring(xml, encoding="unicode"), flags)

    def restore_memory(self, volume: str) -> None:
        """Starts a machine, paused, with its saved memory; its disks must be from the same moment."""
        with explained(f"restoring the memory from {volume}"):
            self._connection.restore(self.libvirt.path(volume))

    def snapshot_disks(self, name: str, label: str) -> None:
        """Takes a snapshot of the disks of a machine that is off."""
        xml = ElementTree.Element("domainsnapshot")
        ElementTree.SubElement(xml, "name").text = label
        with explained(f"taking a snapshot of the disks of {name}"):
            self._connection.lookupByName(name).snapshotCreateXML(ElementTree.tostring(xml, encoding="unicode"))

    def kept_disks(self, name: str) -> list[str]:
        """The labels of the snapshots taken with :meth:`snapshot_disks`."""
        with explained(f"listing the snapshots of {name}"):
            return sorted(self._connection.lookupByName(name).snapshotListNames())

    def revert_disks(self, name: str, label: str) -> None:
        """Reverts the disks of a machine that is off to a snapshot."""
        with explained(f"reverting the disks of {name}"):
            domain = self._connection.lookupByName(name)
            domain.revertToSnapshot(domain.snapshotLookupByName(label))

    def forget_disks(self, name: str, label: str) -> None:
        """Drops what :meth:`snapshot_disks` kept, if there is any."""
        with explained(f"deleting a snapshot of {name}"):
            for snapshot in self._connection.lookupByName(name).listAllSnapshots():
                if snapshot.getName() == label:
                    snapshot.delete()

    # networks

    def networks(self) -> list[LibvirtNetwork]:
        with explained("listing the networks"):
            return [_network(each) for each in self._connection.listAllNetworks()]

    def define_network(self, name: str, xml: str) -> None:
        """Defines a network unless it exists, without starting it: its addresses are then reserved. Takes no time."""
        with explained(f"defining the network {name}"):
            if name not in {each.name() for each in self._connection.listAllNetworks()}:
                self._connection.networkDefineXML(xml)

    def ensure_network(self, name: str, xml: str) -> None:
        """Defines a network unless it exists, and starts it."""
        self.define_network(name, xml)
        with explained(f"starting the network {name}"):
            network = self._connection.networkLookupByName(name)
            if not network.isActive():
                network.create()

    def remove_network(self, name: str) -> None:
        with explained(f"removing the network {name}"):
            network = self._connection.networkLookupByName(name)
            if network.isActive():
                network.destroy()
            network.undefine()

    def has_lease(self, network: str, mac: str) -> bool:
        """Whether the machine with that MAC has requested its address from the network."""
        with explained(f"reading the leases of {network}"):
            return bool(self._connection.networkLookupByName(network).DHCPLeases(mac))

    # whole labs

    def sweep(self, prefix: str) -> None:
        """Removes all objects with a lab's prefix: machines, disks, the network with its leases."""
        for domain in self.domains(prefix):
            self.remove_domain(domain.name)
        for volume in self.pool.volumes(prefix):
            self.pool.remove(volume)
        name = prefix.rstrip("_")
        if any(network.name == name for network in self.networks()):
            self.remove_network(name)


def _state(domain: libvirt.virDomain) -> DomainState:
    state = _STATES.get(domain.state()[0], "failed")
    return "suspended" if state == "stopped" and domain.hasManagedSaveImage() else state


def _has_job(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError:
        return False  # it went off in the meantime


def _description(domain: libvirt.virDomain) -> str:
    try:
        return str(domain.metadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None))
    except libvirt.libvirtError:
        return ""  # it has none


def _network(network: libvirt.virNetwork) -> LibvirtNetwork:
    tree = ElementTree.fromstring(network.XMLDesc())  # noqa: S314 - libvirt's own
    bridge = tree.find("bridge")
    subnets = tuple(
        f"{ip.get('address')}/{ip.get('netmask') or ip.get('prefix') or 32}"
        for ip in tree.findall("ip")
        if ip.get("family", "ipv4") == "ipv4"
    )
    name = bridge.get("name", "") if bridge is not None else ""
    return LibvirtNetwork(network.name(), name, bool(network.isActive()), subnets)
