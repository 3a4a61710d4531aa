"""A lab's parts on the host, and which of them are missing.

If a part that a lab once had is missing, a user removed it, or there was an accident. Either way it is not replaced
here: only ``rebuild`` does that, on request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from labgen import paths, ssh, vagrant
from labgen.domain import volumes
from labgen.errors import HypervisorError
from labgen.hypervisor import Hypervisor
from labgen.model import Lab, Libvirt, Node
from labgen.progress import Progress
from labgen.records.journals import Journal


@dataclass(frozen=True)
class Parts:
    """The existing parts of one node.

    :param disks: whether each disk exists, by its name, the root disk first.
    :param running: whether the machine is running.
    """

    domain: bool
    disks: Mapping[str, bool]
    running: bool = False

    @property
    def whole(self) -> bool:
        return self.domain and all(self.disks.values())


def of(lab: Lab, hypervisor: Hypervisor) -> dict[str, Parts]:
    """By node name."""
    states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
    stored = set(hypervisor.pool.volumes(lab.prefix))
    return {
        node.name: Parts(
            domain=node.domain in states,
            disks={disk: volume in stored for disk, volume in volumes(node).items()},
            running=states.get(node.domain) == "running",
        )
        for node in lab.nodes
    }


def require_whole(lab: Lab, hypervisor: Hypervisor) -> None:
    """:raises HypervisorError: something is missing; the error lists all of it, and how to get it back."""
    found = of(lab, hypervisor)
    broken = [node for node in lab.nodes if not found[node.name].whole]
    if not broken:
        return
    verb = "is" if len(broken) == 1 else "are"
    raise HypervisorError(
        f"{', '.join(node.name for node in broken)} of {lab.name!r} {verb} incomplete",
        "\n".join(line for node in broken for line in _losses(node, found[node.name], hypervisor.libvirt)),
        "Nothing was changed. If you can restore what is missing, do so. Otherwise, for each of them:\n"
        + "\n".join(f"labgen rebuild {lab.name} {node.name}" for node in broken),
    )


def tell_missing_machines(journal: Journal, hypervisor: Hypervisor, progress: Progress) -> None:
    """Notes which nodes a verb skips because they have no machine, and how each gets one again."""
    lab = journal.lab
    machines = {domain.name for domain in hypervisor.domains(lab.prefix)}
    for node in lab.nodes:
        if node.domain not in machines:
            way = f"labgen rebuild {lab.name} {node.name}" if journal.complete else f"labgen start {lab.name}"
            progress.note(
                f"{node.name} has no machine: {node.domain} is not defined in libvirt. To rebuild it: {way}"
            )


def rewrite_records(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> None:
    """Corrects Vagrant's records of which domains the machines are, where needed; also restores the public key.

    :raises GuestError: the private key is missing.
    """
    directory = paths.lab(lab.name)
    ssh.public_key(directory / paths.KEY)
    recorded = vagrant.known_machines(directory)
    uuids = {domain.name: domain.uuid for domain in hypervisor.domains(lab.prefix)}
    lost = [node for node in lab.nodes if node.domain in uuids and recorded.get(node.name) != uuids[node.domain]]
    for node in lost:
        vagrant.know_machine(directory, node.name, uuids[node.domain])
    if lost:
        names = ", ".join(node.name for node in lost)
        progress.note(f"Vagrant's record of {names} was missing or not valid: written again from libvirt")


def _losses(node: Node, parts: Parts, libvirt: Libvirt) -> list[str]:
    lines = [] if parts.domain else [f"{node.name}: the machine {node.domain} is not defined in libvirt"]
    lines += [
        f"{node.name}: its {disk} disk {libvirt.path(volume)} is missing"
        for disk, volume in volumes(node).items()
        if not parts.disks[disk]
    ]
    if parts.running:
        lines.append(
            f"{node.name}: its machine still runs on the deleted file: save what you need before you stop it"
        )
    return lines
