"""A lab of one machine, created briefly as ``create`` would create it, and removed again.

Nothing boots: the machine has empty disks and is started paused. Its name is hidden, and no lab can have that name;
``prune`` finds what a killed labgen process leaves of it.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labgen import paths, ssh, subnets, vagrant_settings
from labgen import vagrant as program
from labgen.domain import domain_xml, volumes
from labgen.errors import LabgenError
from labgen.host import Host, addresses, remedies
from labgen.host.checks import Finding
from labgen.hypervisor import Hypervisor
from labgen.model import Box, Lab
from labgen.plan import plan
from labgen.profile import Profile, dump, parse
from labgen.progress import Progress
from labgen.records import data_home, registry
from labgen.refusals import explained
from labgen.render import network_xml, render, write
from labgen.turns import turn

NAME = ".doctor"
TURN_LIMIT = 60  # seconds that another trial may take
_TUN = Path("/dev/net/tun")


def profile() -> Profile:
    """The smallest profile; everything else has its default."""
    return parse("name: doctor\nnodes: {manager: {role: manager}}\nresources: {memory: 512MiB}\n", "doctor").profile


def vagrant(host: Host) -> Finding:
    """Whether Vagrant starts, has its libvirt provider and accepts labgen's Vagrantfile. Takes some seconds."""
    try:
        plugins = program.plugins()
    except LabgenError as error:
        missing = error.brief == program.MISSING
        fix = remedies.install("vagrant", "vagrant-libvirt") if missing else "vagrant plugin list --debug"
        return Finding("vagrant", "fail", _evidence(error), fix)
    except OSError as error:  # its store is another user's
        return _refused("vagrant", error)
    provider = next((each for each in plugins if each.startswith("vagrant-libvirt ")), None)
    if provider is None:
        return Finding("vagrant", "fail", "Vagrant has no vagrant-libvirt", remedies.install("vagrant-libvirt"))
    # Nothing is created under that name: a host that never had a lab gets no id for it.
    lab = _planned(subnets.DEFAULT_POOL.replace("/16", "/24"), data_home.owner_of_path(), host)
    with tempfile.TemporaryDirectory(prefix="labgen-doctor-") as directory:
        write(render(lab, host.libvirt, Path(directory), dump(profile()), {}), Path(directory))
        try:
            program.validate(Path(directory))
        except LabgenError as error:
            fix = remedies.install("--reinstall", "vagrant", "vagrant-libvirt")
            return Finding("vagrant", "fail", f"{provider} fails: {_evidence(error)}", fix)
    return Finding("vagrant", "ok", f"{provider} takes a lab's Vagrantfile{vagrant_settings.aside()}")


def findings(host: Host, hypervisor: Hypervisor, progress: Progress) -> Iterator[Finding]:
    """Checks the subnet that the next lab would get, its network, and a machine in it."""
    lock = paths.lab_lock(NAME)
    try:
        with turn(lock, TURN_LIMIT, "another 'labgen doctor' is running", "Wait for it, or stop it.", progress):
            # An id that is kept: prune uses it to find the leftovers of a killed doctor.
            yield from _tried(data_home.owner(), host, hypervisor, progress)
    except (LabgenError, OSError) as error:
        yield _refused("machine", error)


def _tried(owner: str, host: Host, hypervisor: Hypervisor, progress: Progress) -> Iterator[Finding]:
    _sweep(hypervisor, owner)
    for left in paths.data_home().glob(paths.trial("*").name):
        shutil.rmtree(left)
    try:
        with registry.locked():  # until libvirt has the network: from then on, no create chooses its subnet
            choice, available = _chosen(host, hypervisor)
            lab = _planned(choice.subnet, owner, host)
            found = _network(lab, host, hypervisor.define_network)
    except LabgenError as error:
        yield _refused("subnet", error)
        return
    machine: list[Finding] = []
    try:
        if found.status == "ok":
            found = _network(lab, host, hypervisor.ensure_network)
        if found.status == "ok":
            progress.step("starting a test machine", stage="try-machine")
            machine = [_machine(lab, hypervisor)]
    finally:
        refusal = _sweep(hypervisor, owner)
    note = f"; {choice.note}" if choice.note else ""
    yield Finding("subnet", "ok", f"{choice.subnet} of {available} is free{note}")
    yield found if found.status == "fail" or not refusal else Finding("network", "fail", refusal, "labgen prune")
    yield from machine


def _refused(name: str, error: LabgenError | OSError) -> Finding:
    said = explained(error) if isinstance(error, OSError) else error
    evidence = ": ".join(filter(None, (said.brief, "; ".join(said.details.splitlines()))))
    return Finding(name, "fail", evidence, said.resolution)


def _chosen(host: Host, hypervisor: Hypervisor) -> tuple[subnets.Choice, str]:
    available = subnets.pool()
    uses = addresses.in_use(registry.load().subnets, hypervisor.networks(), host)
    return subnets.choose(None, uses, available), str(available)


def _planned(subnet: str, owner: str, host: Host) -> Lab:
    smallest = profile()
    box = Box(smallest.box, f"labgen/{smallest.box}", "0")
    kind = host.accelerator().kind
    return plan(smallest, NAME, subnet=subnet, box=box, accelerator=kind, owner=owner)


def _network(lab: Lab, host: Host, make: Callable[[str, str], None]) -> Finding:
    """Whether networks can be created: a bridge, the rules for NAT, a DHCP server."""
    if not host.has(_TUN):
        return Finding("network", "fail", f"there is no {_TUN}: machines get no interfaces", "sudo modprobe tun")
    try:
        make(lab.network.name, network_xml(lab))
    except LabgenError as error:
        fix = remedies.install("iptables", "dnsmasq-base", "iproute2")
        return Finding("network", "fail", _evidence(error), fix)
    return Finding("network", "ok", "a network with NAT and DHCP was created and removed")


def _machine(lab: Lab, hypervisor: Hypervisor) -> Finding:
    """Whether machines start: QEMU, as its own user, reads their disks, and their consoles are written to a log."""
    (node,) = lab.nodes
    try:
        with tempfile.TemporaryDirectory(prefix=paths.trial("").name, dir=paths.data_home()) as name:
            directory = Path(name)
            directory.chmod(0o755)  # as a lab's
            (directory / paths.LOGS).mkdir()
            ssh.make_key(directory / paths.KEY, "labgen doctor")
            key = (directory / f"{paths.KEY}.pub").read_text().strip()
            for volume in volumes(node).values():
                hypervisor.pool.create(volume, node.disk_gib)
            hypervisor.define(domain_xml(lab, node, hypervisor.libvirt, directory, key))
            hypervisor.start(node.domain, paused=True)
    except LabgenError as error:
        return Finding("machine", "fail", _evidence(error), remedies.start_machine(_evidence(error), node.domain))
    except OSError as error:
        return Finding("machine", "fail", str(error), remedies.start_machine(str(error), node.domain))
    return Finding("machine", "ok", f"one was started and removed ({lab.accelerator})")


def _sweep(hypervisor: Hypervisor, owner: str) -> str:
    """Removes all that exists of a trial, this one or a killed one. :return: why it failed; empty if it succeeded."""
    try:
        hypervisor.sweep(f"{owner}_{NAME}_")
    except LabgenError as error:
        return _evidence(error)
    return ""


def _evidence(error: LabgenError) -> str:
    """The first line of an error's details: the reason."""
    return next(iter(error.details.splitlines()), error.brief)
