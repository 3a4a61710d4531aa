"""The lab's machines on the host: network, boot, and the explanation if one does not come up."""

import contextlib
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Self

from labgen import paths, ssh, vagrant
from labgen.errors import GuestError, HypervisorError, LabgenError
from labgen.host import Host
from labgen.hypervisor import DomainState, Hypervisor
from labgen.machines import access
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.refusals import explained
from labgen.render import network_xml
from labgen.turns import turn

# Seconds until a machine accepts a login. The machines of a lab share the host's processors and slow each other down.
BOOT_LIMIT = 300
BOOT_LIMIT_PER_NODE = {"kvm": 20, "tcg": 180}
TURN_LIMIT = 3600  # seconds that another lab's boot may take before this one begins
CANCEL_LIMIT = 10  # seconds for a killed Vagrant to end


class Boot:
    """``vagrant up`` in the background, so that each node can be prepared as soon as it answers.

    A context manager: after it, no Vagrant creates machines any more.
    """

    def __init__(self, lab: Lab, progress: Progress) -> None:
        self.failure: LabgenError | None = None
        self._lab = lab
        self._progress = progress
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cancelled.set()
        self._thread.join(CANCEL_LIMIT)  # one that still waits for its turn creates nothing either

    def wait(self) -> None:
        """:raises LabgenError: Vagrant failed."""
        self._thread.join()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        directory = paths.lab(self._lab.name)
        try:
            why = "another lab is being booted"
            with turn(paths.vagrant_lock(), TURN_LIMIT, why, "Wait until it is up.", self._progress):
                if not self._cancelled.is_set():
                    self._progress.step("booting the machines", stage="boot")
                    vagrant.up(directory, directory / paths.LOGS / "vagrant.log", self._cancelled)
        except LabgenError as error:
            self.failure = error
        except OSError as error:
            self.failure = explained(error)


def clear_half_made(lab: Lab, hypervisor: Hypervisor) -> list[Node]:
    """Removes what an interrupted boot left of machines, which would be in Vagrant's way.

    Only for a lab that was never complete. :return: the nodes that now have no machine.
    """
    directory = paths.lab(lab.name)
    recorded = vagrant.known_machines(directory)
    # vagrant-libvirt defines a machine and records it before it adds the card: without one, it has never run.
    with_card = hypervisor.cards.in_network(lab.prefix, lab.network)
    nodes = [node for node in lab.nodes if node.domain not in with_card or node.name not in recorded]
    for node in nodes:
        vagrant.forget_machine(directory, node.name)
        remove(hypervisor, node.domain)
    return nodes


def remove(hypervisor: Hypervisor, domain: str) -> None:
    """Removes a machine and its disks, as far as they exist."""
    if any(each.name == domain for each in hypervisor.domains(domain)):
        hypervisor.remove_domain(domain)
    # vagrant-libvirt names the root disk DOMAIN.img and further ones DOMAIN-vdb.qcow2, ...
    for volume in hypervisor.pool.volumes(domain):
        if volume.removeprefix(domain)[0] in ".-":
            hypervisor.pool.remove(volume)


def connect(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> list[Node]:
    """Ensures that the lab's network is active, and that the running machines are connected to it.

    :return: the nodes that were not, for example because a user stopped the network.
    :raises HypervisorError: the network cannot be started, or a machine cannot be connected to it.
    """
    hypervisor.ensure_network(lab.network.name, network_xml(lab))
    cut_off = hypervisor.cards.cut_off(lab.prefix, lab.network)
    nodes = [node for node in lab.nodes if node.domain in cut_off]
    for node in nodes:
        try:
            hypervisor.cards.reconnect(node.domain, lab.network)
        except HypervisorError as error:
            raise HypervisorError(
                f"{node.name} is disconnected from its network and cannot be reconnected",
                error.details,
                f"Restart the lab: labgen stop {lab.name}; labgen start {lab.name}",
            ) from error
        progress.note(f"reconnected {node.name} to its network")
    return nodes


def start(
    lab: Lab, hypervisor: Hypervisor, progress: Progress, nodes: Collection[Node] | None = None
) -> dict[str, DomainState]:
    """Starts the machines that are off or suspended.

    :param nodes: only these; by default all. :return: their names and their former states.
    :raises HypervisorError: libvirt cannot start one.
    """
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    chosen = lab.nodes if nodes is None else nodes
    off = {node.name: states[node.domain] for node in chosen if states.get(node.domain, "running") != "running"}

    def switch_on(name: str) -> None:
        domain, was = lab.node(name).domain, off[name]
        progress.step("resuming" if was == "suspended" else "powering on", name, stage="switch-on")
        try:
            hypervisor.start(domain)
        except HypervisorError as error:
            if was != "suspended":
                raise
            raise HypervisorError(
                f"{name} cannot be resumed from its saved memory",
                error.details,
                "To discard its memory and boot it from its disks:\n"
                f"virsh -c {hypervisor.libvirt.uri} managedsave-remove {domain}; labgen start {lab.name}",
            ) from error

    on_each({name: name for name in off}, switch_on)
    return off


def enter(lab: Lab, node: Node, host: Host, progress: Progress, boot: Boot | None) -> ssh.Connection:
    """Waits until a node accepts a login.

    :param boot: the boot in progress, if the node is new.
    :raises GuestError: it does not; the error includes what the host knows about the reason.
    """

    def give_up() -> str:
        return f"{boot.failure.brief}\n{boot.failure.details}" if boot and boot.failure else ""

    progress.step("booting" if boot else "logging in", node.name, stage="boot" if boot else "enter")
    limit = BOOT_LIMIT + BOOT_LIMIT_PER_NODE[lab.accelerator] * len(lab.nodes)
    try:
        return ssh.wait_for(access.target(lab, node), limit, give_up)
    except ssh.Unreachable as error:
        if boot and boot.failure:
            raise boot.failure from error
        raise GuestError(
            f"{node.name} did not come up",
            f"{error.brief}: {error.details}\n{_evidence(lab, node, host)}",
            f"Try again: labgen start {lab.name}\nIts full console log: {console_log(lab, node)}",
        ) from error


def console_log(lab: Lab, node: Node) -> Path:
    return paths.lab(lab.name) / paths.LOGS / f"{node.name}.console.log"


def _evidence(lab: Lab, node: Node, host: Host) -> str:
    """What the host knows about a machine that does not answer."""
    lines = []
    with contextlib.suppress(LabgenError), host.connect() as hypervisor:
        domain = next((each for each in hypervisor.domains(node.domain) if each.name == node.domain), None)
        lines.append(f"machine: {domain.state if domain else 'does not exist'}")
        lease = hypervisor.has_lease(lab.network.name, node.mac)
        lines.append(
            f"address: {'requested' if lease else 'never requested: it did not get as far as its network setup'}"
        )
    lines.append(f"port 22: {'open' if ssh.port_open(access.target(lab, node)) else 'closed'}")
    with contextlib.suppress(OSError):
        console = console_log(lab, node).read_text(errors="replace").splitlines()
        lines += ["last lines of its console:", *(f"  {line}" for line in console[-8:])]
    return "\n".join(lines)
