"""A host without machines: libvirt's own test driver, a Vagrant that only defines domains, engines in memory."""

import base64
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from labgen import boxes, engine, paths, ssh, vagrant
from labgen.domain import volumes
from labgen.errors import HypervisorError
from labgen.host import LOCAL, accelerator, addresses, shaping
from labgen.host.base import Accelerator
from labgen.host.local import LocalHost
from labgen.hypervisor import Hypervisor, Link, Links, Overlays, Pool
from labgen.impairment import Impairment
from labgen.lab import doctor
from labgen.machines import agent, clocks, savefile
from labgen.model import Libvirt, Network, Step
from labgen.orchestrators import swarm
from labgen.plan import BALANCER, CERTIFICATE, REGISTRY, TRUST
from labgen.records import journals
from labgen.services import inspection
from labgen.ssh import Result, Target
from tests.unit.engines import Cloud, FakeEngine
from tests.unit.examined import answer, well

URI = "test:///default"
DOMAIN = """<domain type='test'><name>{name}</name><description>{identity}</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><interface type='network'><mac address='{mac}'/><source network='{network}'/>
<target dev='{tap}'/></interface><serial type='file'><source path='{console}'/></serial></devices></domain>"""
VOLUME = "<volume><name>{name}</name><capacity unit='MiB'>1</capacity></volume>"


@dataclass
class Machine:
    """What happened in one machine.

    :param behind: how many seconds its clock is behind the host's.
    :param ill: a check script's output, by the check's name, if it differs from that of a healthy machine.
    :param identities: the variables with which the guest agent made each new identity.
    """

    clock_is_set: bool = False
    behind: float = 0
    ill: dict[str, list[str]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    identities: list[dict[str, str]] = field(default_factory=list)
    engine: FakeEngine | None = None
    trusts: str = ""  # the certificate by which its Docker knows the lab's registry
    serves: bool = False  # the registry
    certificate: str = ""  # a load balancer's, and
    certified: str = ""  # the names that it is for
    config: dict[str, str] = field(default_factory=dict)  # a load balancer's files, and
    version: str = ""  # their version


class FakeConnection:
    def __init__(self, target: Target, host: "Host") -> None:
        self.target, self.host = target, host

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def run(self, command: Sequence[str], **options: Any) -> Result:
        if list(command)[-1] == clocks.FROM_HARDWARE:
            self.host.machine(self.target.name).clock_is_set = True
            self.host.machine(self.target.name).behind = 0
            return Result(0, "", "")
        if list(command)[-1] == "docker.service":
            return Result(0, "", "")
        if command[2:5] == ["sh", "-c", (paths.guest_scripts() / BALANCER).read_text()]:
            return self._configured(command[6:], options["stdin"])
        if "/etc/labgen/balancer/" in command[-1]:
            return self._balancer(command)
        if command[-1].startswith("/etc/docker/certs.d/"):
            trusts = self.host.machine(self.target.name).trusts
            return Result(0 if trusts else 1, trusts, "")
        if command[0] == "curl":
            return Result(0 if self.host.machine(self.target.name).serves else 7, "", "")
        if list(command) == ["uname", "-r"]:
            return Result(0, "6.12\n", "")
        if list(command)[:3] == ["sudo", "-n", "docker"] and self.host.docker:
            return self.host.docker(self.target.name, list(command)[3:])
        if command[-1] == inspection.DAEMON_JSON:
            return Result(0, self.host.daemon_json, "")
        if "examine" in command:
            return self._examined(command, options["on_line"])
        if list(command)[2:5] == ["docker", "stack", "rm"]:
            self.host.cloud.services.remove(command[5])
            return Result(0, "", "")
        if list(command)[2:5] == ["docker", "service", "logs"]:
            return Result(0, "last words\n", "")
        return Result(int(self.target.name[-1]), " ".join(command), "")

    def _configured(self, arguments: Sequence[str], parcel: bytes) -> Result:
        """What balancer.sh does."""
        machine = self.host.machine(self.target.name)
        if self.host.refuses:
            return Result(self.host.refuses, "", "what the program says")
        with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
            files = {name: tar.extractfile(name) for name in tar.getnames()}
            found = {name: file.read().decode() for name, file in files.items() if file}
        changed = machine.version != arguments[1]
        machine.config, machine.version = found, arguments[1]
        machine.scripts += ["balancer"] if changed else []
        return Result(0, "changed\n" if changed else "", "")

    def _balancer(self, command: Sequence[str]) -> Result:
        """What is asked about a balancer's files."""
        machine = self.host.machine(self.target.name)
        if "ca.crt" in command[-1]:
            return Result(0 if machine.certificate else 1, machine.certificate, "")
        if "server.crt" in command[-1]:
            known = f"{machine.certified}\n{machine.certificate}\n"
            return Result(0 if machine.certificate else 1, known, "")
        return Result(0 if machine.config else 1, next(iter(machine.config.values()), ""), "")

    def _examined(self, command: Sequence[str], on_line: Callable[[str], None]) -> Result:
        machine = self.host.machine(self.target.name)
        node = journals.load(self.target.key.parent.name).lab.node(self.target.name)
        clock = time.time() - machine.behind
        on_line(str(clock))
        return Result(0, answer(command, clock, {**well(node, command), **machine.ill}), "")

    @contextmanager
    def start(self, command: Sequence[str]) -> Iterator["FakeCommand"]:
        yield FakeCommand(self, list(command))

    def stop(self, signal: str) -> None:
        self.host.stopped[self.target.name] = signal


@dataclass
class FakeCommand:
    """``cat`` outputs its input, any other command its own words; the status is its machine's number."""

    connection: FakeConnection
    words: list[str]
    fed: bytes = b""
    all_fed: threading.Event = field(default_factory=threading.Event)

    def feed(self, data: bytes) -> bool:
        self.fed += data
        return True

    def end_input(self) -> None:
        self.all_fed.set()

    def wait(self, output: ssh.Sink, errors: ssh.Sink, limit: float | None = None) -> int:
        assert self.all_fed.wait(20)
        if self.words[2:5] == ["docker", "service", "logs"]:
            output(" ".join(self.words).encode())
            return 0
        if self.words[:4] == ["sudo", "-n", "sh", "-c"]:
            return self.connection.host.root_shell(
                self.connection.target.name, self.words[4:], self.fed, output, errors
            )
        output(self.fed if self.words == ["cat"] else " ".join(self.words).encode())
        errors(b"aside\n")
        return int(self.connection.target.name[-1])


@dataclass
class Host:
    """The state that tests control and inspect.

    :param boots: how many machines the next ``vagrant up`` creates before it fails; None: all, without failing.
    """

    libvirt: Any
    pool: str = "labgen"
    cloud: Cloud = field(default_factory=Cloud)
    machines: dict[str, Machine] = field(default_factory=dict)
    ups: int = 0
    boots: int | None = None
    failing_script: str = ""
    unreachable: str = ""
    driver: str = "btrfs"
    agent_fails: bool = False
    stopped: dict[str, str] = field(default_factory=dict)  # the signals that stopped commands, by node name
    starts: dict[str, bytes] = field(default_factory=dict)  # of volumes with memory
    held: set[str] = field(default_factory=set)  # the domains whose disks are frozen
    docker: Callable[[str, list[str]], Result] | None = None  # a docker command on a node
    unplugged: set[str] = field(default_factory=set)  # the domains whose links are down
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)  # libvirt's, received and sent, by domain
    can_limit: bool = True  # whether libvirt can
    impaired: dict[str, Impairment] = field(default_factory=dict)  # by tc, by interface
    daemon_json: str = "{}"
    authorities: int = 0  # how many registries' CAs were made
    agent: Callable[[str, str], Result] | None = None  # a script that a node's guest agent runs
    refuses: int = 0  # with which status balancer.sh fails
    # A script run as root: the node, the script with its arguments, its input, its outputs; returns its status.
    root_shell: Callable[[str, list[str], bytes, ssh.Sink, ssh.Sink], int] = lambda *_: 0

    def machine(self, name: str) -> Machine:
        return self.machines.setdefault(name, Machine())

    def engine(self, name: str) -> FakeEngine:
        machine = self.machine(name)
        machine.engine = machine.engine or FakeEngine(name, self.cloud)
        machine.engine.driver = self.driver
        return machine.engine

    def impair(self, interface: str, wanted: Impairment) -> None:
        self.impaired.pop(interface, None)
        if wanted != Impairment():
            self.impaired[interface] = wanted

    def domains(self) -> set[str]:
        return {domain.name() for domain in self.libvirt.listAllDomains()} - {"test"}

    def networks(self) -> set[str]:
        return {network.name() for network in self.libvirt.listAllNetworks()} - {"default"}

    def volumes(self) -> set[str]:
        pools = [pool for pool in self.libvirt.listAllStoragePools() if pool.name() == self.pool]
        return {name for pool in pools for name in pool.listVolumes()}

    def up(self, directory: Path, log: Path, cancelled: threading.Event) -> None:
        """Stands in for ``vagrant up``: domains, disks and Vagrant's records, as vagrant-libvirt leaves them."""
        self.ups += 1
        lab = journals.load(directory.name).lab
        for number, node in enumerate(lab.nodes):
            record = directory / ".vagrant" / "machines" / node.name / "libvirt" / "id"
            if record.exists():
                continue
            if number == self.boots:
                raise HypervisorError("booting the machines failed", "Vagrant's last words")
            about = {"name": node.domain, "identity": lab.identity, "mac": node.mac}
            about |= {"network": lab.network.name, "tap": f"tap-{node.name}"}
            about["console"] = str(directory / "logs" / f"{node.name}.console.log")
            domain = self.libvirt.defineXML(DOMAIN.format(**about))
            pool = self.libvirt.storagePoolLookupByName(self.pool)
            for volume in volumes(node).values():
                pool.createXML(VOLUME.format(name=volume))
            record.parent.mkdir(parents=True)
            record.write_text(domain.UUIDString())
            self.machines.pop(node.name, None)
            domain.create()

    def add_volume(self, name: str) -> None:
        self.libvirt.storagePoolLookupByName(self.pool).createXML(VOLUME.format(name=name))

    def wake(self, volume: str) -> None:
        """Stands in for QEMU loading a template's memory: the machine that its definition names then exists."""
        xml = self.starts[volume][savefile.HEADER.size :].rstrip(b"\0").decode()
        name = ElementTree.fromstring(xml).findtext("name") or ""
        self.libvirt.lookupByName(name).create()

    def run_agent(
        self,
        _hypervisor: Hypervisor,
        domain: str,
        script: str,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Result:
        if self.agent_fails:
            return Result(1, "", "no such agent")
        machine = self.machine(domain.rpartition("_")[2])
        if self.agent and "randomness" not in (variables or {}):
            return self.agent(domain.rpartition("_")[2], script)
        if arguments:
            machine.scripts.append(f"agent: {' '.join(arguments)}")
        identity = dict(variables or {})
        machine.identities.append(identity)
        key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes.fromhex(identity["randomness"])[:32]
        return Result(0, f"ssh-ed25519 {base64.b64encode(key).decode()} \n", "")

    def run_all(
        self,
        connection: FakeConnection,
        scripts: Mapping[str, str],
        steps: Sequence[Step],
        on_step: Callable[[str], None],
        on_line: Callable[[str], object],
    ) -> Result:
        for step in steps:
            on_step(step.script)
            on_line(f"== {step.script}")
            assert scripts[step.script]
            self.machine(connection.target.name).scripts.append(step.script.removesuffix(".sh"))
            if self.failing_script == step.script:
                on_line("what went wrong")
                return Result(7, "what went wrong", "")
            self._act(step, self.machine(connection.target.name))
        return Result(0, "", "")

    def _act(self, step: Step, machine: Machine) -> None:
        """What the scripts for the lab's registry and load balancers leave in a machine."""
        if step.script == CERTIFICATE:
            directory, _, _, name, address, *_ = step.arguments
            own = "trusts" if directory.endswith("registry") else "certificate"
            if not getattr(machine, own) or "new" in step.arguments:
                self.authorities += 1
                setattr(machine, own, f"certificate {self.authorities} of {name} at {address}")
            names = [each for each in step.arguments[3:] if each != "new"]
            machine.certified = ", ".join(f"{'IP' if each == address else 'DNS'}:{each}" for each in names)
        elif step.script == REGISTRY:
            machine.serves = True
        elif step.script == TRUST:
            machine.trusts = step.arguments[1]

    def wait_for(self, target: Target, limit: float, give_up: Any) -> FakeConnection:
        domain = journals.load(target.key.parent.name).lab.node(target.name).domain
        while not self._is_on(domain):
            if reason := give_up():
                raise ssh.Unreachable(f"{target.name} cannot be reached", reason)
            time.sleep(0.01)
        if target.name == self.unreachable:
            raise ssh.Unreachable(f"{target.name} did not answer", "port 22 is closed")
        return FakeConnection(target, self)

    def _is_on(self, domain: str) -> bool:
        return any(each.isActive() for each in self.libvirt.listAllDomains() if each.name() == domain)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    connection = libvirt.open(URI)
    fake = Host(connection)
    box = SimpleNamespace(name="debian13", vagrant_name="labgen/debian13", version="13.1.1", catalog=home / "catalog")

    @contextmanager
    def connect(opened: FakeConnection, limit: float = 0) -> Iterator[FakeEngine]:
        yield fake.engine(opened.target.name)

    _fake_templates(monkeypatch, fake)
    _fake_overlays(monkeypatch, fake)
    _fake_links(monkeypatch, fake)
    save_memory = Hypervisor.save_memory

    def save(self: Hypervisor, name: str, volume: str) -> None:
        save_memory(self, name, volume)
        # The test driver does not check its pool's directory, which now contains a new file.
        fake.add_volume(volume)

    monkeypatch.setattr(Hypervisor, "save_memory", save)
    monkeypatch.setattr(LocalHost, "libvirt", Libvirt(URI, "labgen", tmp_path_factory.mktemp("pool")))
    monkeypatch.setattr(accelerator, "probe", lambda *_: Accelerator("tcg", "there is no /dev/kvm"))
    monkeypatch.setattr(doctor, "require_ready", lambda _profile, _host: None)
    monkeypatch.setattr(boxes, "ensure", lambda _name, _progress: box)
    monkeypatch.setattr(boxes, "find", lambda _name: box)
    monkeypatch.setattr(vagrant, "has_box", lambda _name, _version: True)
    monkeypatch.setattr(vagrant, "up", fake.up)
    monkeypatch.setattr(ssh, "wait_for", fake.wait_for)
    monkeypatch.setattr(ssh, "run_all", fake.run_all)
    monkeypatch.setattr(ssh, "port_open", lambda _address: False)
    monkeypatch.setattr(
        ssh.Connection, "open", lambda target, limit=0: fake.wait_for(target, limit, lambda: "it is off")
    )
    monkeypatch.setattr(engine, "connect", connect)
    monkeypatch.setattr(swarm, "POLL", 0)
    monkeypatch.setattr(addresses, "of_host", list)
    yield fake
    _clear(connection)
    connection.close()


def _fake_templates(monkeypatch: pytest.MonkeyPatch, fake: Host) -> None:
    """Replaces what the test driver lacks: data in volumes, memory outside of machines, and guest agents."""

    def keep(_self: Hypervisor, _name: str, volume: str) -> None:
        fake.starts[volume] = savefile.HEADER.pack(savefile.MAGIC, savefile.VERSION, 16384, *[0] * 17) + bytes(16384)
        fake.add_volume(volume)

    def write(_self: Pool, volume: str, data: bytes) -> None:
        fake.starts[volume] = data

    def restore(self: Hypervisor, volume: str) -> None:
        if volume in fake.starts:
            fake.wake(volume)
        else:
            restore_memory(self, volume)

    def definition(_self: Hypervisor, name: str) -> str:
        return str(fake.libvirt.lookupByName(name).XMLDesc())

    restore_memory = Hypervisor.restore_memory
    monkeypatch.setattr(Hypervisor, "keep_memory", keep)
    monkeypatch.setattr(Pool, "write_start", write)
    monkeypatch.setattr(Pool, "read_start", lambda _self, volume, length: fake.starts[volume][:length])
    monkeypatch.setattr(Hypervisor, "restore_memory", restore)
    monkeypatch.setattr(Hypervisor, "definition", definition)
    monkeypatch.setattr(Pool, "download", lambda _self, _volume, target, _moved: target.write_bytes(b"disk"))
    monkeypatch.setattr(Pool, "upload", lambda _self, _source, volume, _moved: fake.add_volume(volume))
    monkeypatch.setattr(Pool, "backing", lambda _self, _volume: "base.img")
    monkeypatch.setattr(Pool, "fingerprint", lambda _self, _volume: "as it was")
    monkeypatch.setattr(agent, "run", fake.run_agent)


def _fake_overlays(monkeypatch: pytest.MonkeyPatch, fake: Host) -> None:
    """Replaces what the test driver lacks: snapshots of disks alone."""

    def begin(self: Overlays, name: str, memory: str = "") -> None:
        assert name not in fake.held
        fake.held.add(name)
        if memory:
            Hypervisor(self._connection, LOCAL.libvirt, LOCAL.lacks_bridge).keep_memory(name, memory)

    monkeypatch.setattr(Overlays, "begin", begin)
    monkeypatch.setattr(Overlays, "are_there", lambda _self, name: name in fake.held)
    monkeypatch.setattr(Overlays, "end", lambda _self, name: fake.held.discard(name))


def _fake_links(monkeypatch: pytest.MonkeyPatch, fake: Host) -> None:
    """Replaces what the test driver lacks, changes of cards, and the kernel's part."""
    found = Links.found

    def changed(self: Links, prefix: str, network: Network) -> dict[str, Link]:
        links = {}
        for name, link in found(self, prefix, network).items():
            receives, sends = fake.limits.get(name, (0, 0))
            on = fake.libvirt.lookupByName(name).isActive()
            interface = link.interface if on else ""
            links[name] = Link(name not in fake.unplugged, interface, receives, sends)
        return links

    def switch(_self: Links, name: str, _network: Network, *, up: bool) -> None:
        (fake.unplugged.discard if up else fake.unplugged.add)(name)

    def limit(self: Links, name: str, network: Network, *, receives: int = 0, sends: int = 0) -> None:
        link = changed(self, name, network)[name]
        fake.impaired.pop(link.interface, None)  # as libvirt does, even if it cannot set the limit
        if not fake.can_limit:
            raise HypervisorError(f"limiting the traffic of {name} failed", "tc ... sfq:\nqdisc kind is unknown")
        fake.limits[name] = (receives, sends)

    monkeypatch.setattr(Links, "found", changed)
    monkeypatch.setattr(Links, "set", switch)
    monkeypatch.setattr(Links, "limit", limit)
    monkeypatch.setattr(shaping, "impairments", lambda: dict(fake.impaired))
    monkeypatch.setattr(shaping, "impair", fake.impair)


def _clear(connection: Any) -> None:
    """Clears the test driver's state, which it keeps as long as any connection is open in the process."""
    for domain in connection.listAllDomains():
        if domain.name() != "test":
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            )
    for network in connection.listAllNetworks():
        if network.name() != "default":
            if network.isActive():
                network.destroy()
            network.undefine()
    for pool in connection.listAllStoragePools():
        if pool.name() != "default-pool":
            for volume in pool.listAllVolumes():
                volume.delete()


__all__ = ["FakeConnection", "Host", "host"]
