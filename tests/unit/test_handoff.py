"""Export and import on libvirt's test driver, with real small disk images instead of its pool's."""

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labgen import bundle, disks, paths, vagrant
from labgen.bundle import Depth, Machine
from labgen.domain import volumes
from labgen.errors import BundleError, HostError, HypervisorError, UsageError
from labgen.host import LOCAL
from labgen.host.local import LocalHost
from labgen.hypervisor import Domain, Hypervisor, Pool
from labgen.lab import checkpoint, prune, status
from labgen.lab.destroy import destroy
from labgen.lab.export import Exported, export
from labgen.lab.import_ import receive
from labgen.lab.list_ import listing
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.machines import bases, freeze, outgoing, savefile
from labgen.progress import Silent
from labgen.records import data_home, journals, registry
from labgen.records.journals import JournalLost
from tests.unit.commands import Run, run
from tests.unit.host import VOLUME, Host, host
from tests.unit.test_lab import NODES, NOTHING, Heard, make, traces

__all__ = ["host", "run"]  # fixtures


def qemu_img(*arguments: str) -> str:
    return subprocess.run(["qemu-img", *arguments], check=True, capture_output=True, text=True).stdout


def qemu_io(disk: Path, command: str) -> str:
    return subprocess.run(["qemu-io", "-c", command, str(disk)], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def pool(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Files for the volumes of a lab named "lab" and of uploads; the parameter is the lab's profile."""
    directory = tmp_path / "pool"
    directory.mkdir()

    def download(_self: Pool, volume: str, target: Path, moved: Callable[[int], None]) -> None:
        shutil.copy(directory / volume, target)
        moved(target.stat().st_size)

    def upload(_self: Pool, source: Path, volume: str, moved: Callable[[int], None]) -> None:
        shutil.copy(source, directory / volume)
        host.libvirt.storagePoolLookupByName("labgen").createXML(VOLUME.format(name=volume))
        moved(source.stat().st_size)

    def digest(_self: Pool, volume: str, _moved: Callable[[int], None]) -> str:
        return hashlib.sha256((directory / volume).read_bytes()).hexdigest()

    def sizes(_self: Pool, prefix: str) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in directory.iterdir() if path.name.startswith(prefix)}

    def backing(_self: Pool, volume: str) -> str:
        named = json.loads(qemu_img("info", "-U", "--output=json", "-f", "qcow2", str(directory / volume)))
        return str(named.get("backing-filename", "")).rpartition("/")[2]

    def keep(_self: Hypervisor, name: str, volume: str) -> None:
        start = savefile.HEADER.pack(savefile.MAGIC, savefile.VERSION, 16384, *[0] * 17)
        (directory / volume).write_bytes(start + SENDERS.encode().ljust(16384, b"\0") + b"QEVM" + name.encode())
        host.add_volume(volume)

    def read_start(_self: Pool, volume: str, length: int) -> bytes:
        return (directory / volume).read_bytes()[:length]

    def write_start(_self: Pool, volume: str, data: bytes) -> None:
        with (directory / volume).open("r+b") as file:
            file.write(data)
        host.starts[volume] = data

    monkeypatch.setattr(Hypervisor, "keep_memory", keep)
    monkeypatch.setattr(Pool, "read_start", read_start)
    monkeypatch.setattr(Pool, "write_start", write_start)
    monkeypatch.setattr(Hypervisor, "machine_type", lambda _self, _name: ("pc-i440fx-7.2", "Nehalem"))
    monkeypatch.setattr(Hypervisor, "machine_types", lambda _self: {"pc-i440fx-7.2"})
    monkeypatch.setattr(Pool, "download", download)
    monkeypatch.setattr(Pool, "upload", upload)
    monkeypatch.setattr(Pool, "digest", digest)
    monkeypatch.setattr(Pool, "backing", backing)
    monkeypatch.setattr(Pool, "sizes", sizes)
    monkeypatch.setattr(LocalHost, "libvirt", replace(LOCAL.libvirt, directory=directory))
    make(reference=getattr(request, "param", "three-node-btrfs"))
    base = directory / "base.img"
    qemu_img("create", "-f", "qcow2", str(base), "8M")
    for node in journals.load("lab").lab.nodes:
        qemu_img("create", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(directory / f"{node.domain}.img"))
        for volume in list(volumes(node).values())[1:]:
            qemu_img("create", "-f", "qcow2", str(directory / volume), "4M")
            qemu_io(directory / volume, f"write -P {len(node.name)} 0 1M")
    return directory


WRITTEN = Path(__file__).parent.parent / "records"
SENDERS = "<domain>what the sender's host knows of the machine</domain>"


def exported(directory: Path, depth: Depth = "disks", **options: bool) -> Exported:
    return export("lab", directory / "lab.labgen", depth, Silent(), **options)


def test_a_recipe_is_small_and_becomes_the_same_lab(host: Host, tmp_path: Path) -> None:
    make()
    before = journals.load("lab").lab
    assert exported(tmp_path, "recipe").size < 100_000
    destroy("lab", Silent())
    imported = receive(tmp_path / "lab.labgen", None, None, Silent())
    assert not imported.readdressed
    assert imported.signed_by is None
    assert imported.journal.lab.network == before.network
    assert host.domains() == set()
    assert [row["state"] for row in listing()] == ["stopped"]
    assert set(status.status("lab").states.values()) == {"stopped"}
    assert start("lab", Silent()).changed
    assert status.status("lab").state == "running"
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)


@pytest.fixture(params=sorted(each.name for each in WRITTEN.iterdir()))
def written(request: pytest.FixtureRequest) -> Path:
    """The file that a published version wrote."""
    return WRITTEN / str(request.param)


def unpacked(file: Path, directory: Path) -> Path:
    bundle = directory / file.stem
    bundle.write_bytes(gzip.decompress(file.read_bytes()))
    return bundle


def test_a_recipe_of_every_published_version_becomes_a_lab(host: Host, tmp_path: Path, written: Path) -> None:
    imported = receive(unpacked(written / "recipe.labgen.gz", tmp_path), None, None, Silent())
    assert tuple(node.name for node in imported.journal.lab.nodes) == NODES
    assert start("lab", Silent()).changed
    assert status.status("lab").state == "running"


def test_disks_of_every_published_version_become_a_lab(host: Host, pool: Path, tmp_path: Path, written: Path) -> None:
    imported = receive(unpacked(written / "disks.labgen.gz", tmp_path), "second", None, Silent())
    for node in imported.journal.lab.nodes:
        docker = pool / f"{node.domain}-vdb.qcow2"
        assert "failed" not in qemu_io(docker, f"read -P {len(node.name)} 0 1M")
    assert start("second", Silent()).changed
    assert status.status("second").state == "running"


def test_disks_arrive_and_boot_without_vagrant(host: Host, pool: Path, tmp_path: Path) -> None:
    key = (paths.lab("lab") / paths.KEY).read_text()
    assert exported(tmp_path).paused is not None
    destroy("lab", Silent())
    imported = receive(tmp_path / "lab.labgen", "second", None, Silent())
    lab = imported.journal.lab
    assert vagrant.known_machines(paths.lab("second")).keys() == set(NODES)
    assert (paths.lab("second") / paths.KEY).read_text() != key
    for node in lab.nodes:
        docker = pool / f"{node.domain}-vdb.qcow2"
        assert "failed" not in qemu_io(docker, f"read -P {len(node.name)} 0 1M")
        assert "labgen-base_" in qemu_img("info", str(pool / f"{node.domain}.img"))
    assert imported.journal.complete
    assert not (paths.lab("second") / "incoming").exists()


@pytest.mark.parametrize("depth", ["disks", "running"])
def test_machines_go_on_while_they_are_copied(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: Depth
) -> None:
    domains = {domain.name for domain in _domains("lab")}
    seen = []
    download = Pool.download

    def watched(self: Pool, volume: str, target: Path, moved: Callable[[int], None]) -> None:
        if volume.startswith(tuple(domains)):
            seen.append((set(host.held), {domain.state for domain in _domains("lab")}))
        download(self, volume, target, moved)

    monkeypatch.setattr(Pool, "download", watched)
    exported(tmp_path, depth)
    assert seen == [(domains, {"running"})] * (9 if depth == "running" else 6)
    assert not host.held


@pytest.mark.parametrize("error", [HypervisorError("no"), KeyboardInterrupt()])
def test_an_export_that_is_cut_off_lets_the_machines_go(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Pool, "download", fail)
    with pytest.raises(type(error)):
        exported(tmp_path, "running")
    assert not host.held
    assert not memory_volumes(host)
    assert {domain.state for domain in _domains("lab")} == {"running"}


@pytest.mark.parametrize(
    "next_command", [lambda: start("lab", Silent()), lambda: prune.remove(prune.find(), Silent())]
)
def test_what_an_export_that_was_killed_holds_is_let_go(
    host: Host, pool: Path, next_command: Callable[[], object]
) -> None:
    host.held = {domain.name for domain in _domains("lab")}
    host.add_volume(freeze.memory_volume(journals.load("lab").lab.nodes[0], freeze.OUTGOING))
    paths.outgoing("lab").mkdir()
    next_command()
    assert not host.held
    assert not memory_volumes(host)


def memory_volumes(host: Host) -> set[str]:
    return {name for name in host.volumes() if name.endswith(".memory")}


def test_machines_go_on_with_the_memory_that_came_along(host: Host, pool: Path, tmp_path: Path) -> None:
    assert exported(tmp_path, "running").paused is not None
    assert not memory_volumes(host)
    assert SENDERS.encode() not in (tmp_path / "lab.labgen").read_bytes()
    destroy("lab", Silent())
    imported = receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert not imported.without_memory
    lab = imported.journal.lab
    assert memory_volumes(host) == {freeze.memory_volume(node, freeze.RECEIVED) for node in lab.nodes}
    for node in lab.nodes:
        memory = (pool / freeze.memory_volume(node, freeze.RECEIVED)).read_bytes()
        assert SENDERS.encode() not in memory
        assert b"QEVM" in memory
    assert start("second", Silent()).changed
    assert not start("second", Silent()).changed
    for node in lab.nodes:
        assert [each["mac"] for each in host.machine(node.name).identities] == [node.mac]
    assert not memory_volumes(host)
    assert journals.load("second").origin is None


def test_memory_that_qemu_refuses_leaves_machines_that_boot(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(tmp_path, "running")
    destroy("lab", Silent())
    receive(tmp_path / "lab.labgen", None, None, Silent())

    def refuse(_self: Hypervisor, _volume: str) -> None:
        raise HypervisorError("restoring the memory failed", "unknown section footer")

    monkeypatch.setattr(Hypervisor, "restore_memory", refuse)
    heard = Heard()
    _boots_by_itself(journals.load("lab").lab.name)
    start("lab", heard)
    assert any("unknown section footer" in note for note in heard.notes)
    assert {domain.state for domain in _domains("lab")} == {"running"}
    assert not memory_volumes(host)


def test_memory_is_taken_once_even_by_a_start_that_was_killed(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path, "running")
    destroy("lab", Silent())
    journal = receive(tmp_path / "lab.labgen", None, None, Silent()).journal
    assert journal.origin is not None
    journals.save(replace(journal, origin=replace(journal.origin, memory="taken")))
    heard = Heard()
    _boots_by_itself("lab")
    start("lab", heard)
    assert any("interrupted" in note for note in heard.notes)
    assert not any(host.machine(node).identities for node in NODES)
    assert not memory_volumes(host)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"accelerator": "kvm"}, "with KVM, and here they run in software emulation"),
        ({"type": "pc-i440fx-99.0"}, "no machine type 'pc-i440fx-99.0'"),
        ({"slots": {"vdc": "9.0"}}, "manager1, worker1, worker2 had other devices there than the profile defines"),
    ],
)
def test_a_host_that_cannot_take_the_memory_takes_the_disks(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(outgoing, "Machine", lambda **facts: Machine(**{**facts, **there}))
    exported(tmp_path, "running")
    destroy("lab", Silent())
    imported = receive(tmp_path / "lab.labgen", None, None, Silent())
    assert reason in imported.without_memory
    assert not memory_volumes(host)
    assert len(host.domains()) == 3


@pytest.mark.parametrize("size", ["64k", "1T"], ids=["no memory", "a bomb"])
def test_what_is_no_memory_of_that_machine_is_refused(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(
        disks, "packed", lambda _source, target, _moved: qemu_img("create", "-f", "qcow2", str(target), size)
    )
    exported(tmp_path, "running")
    destroy("lab", Silent())
    with pytest.raises(BundleError, match=r"the memory of manager1 cannot be used|is larger than"):
        receive(tmp_path / "lab.labgen", None, None, Silent())
    assert not memory_volumes(host)
    assert journals.names() == []


def test_only_a_running_lab_has_memory_to_export(host: Host, pool: Path, tmp_path: Path) -> None:
    stop("lab", Silent())
    with pytest.raises(UsageError, match="not running"):
        exported(tmp_path, "running")


def test_an_export_of_memory_that_fails_leaves_a_running_lab(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        disks, "packed", lambda _source, _target, _moved: (_ for _ in ()).throw(HypervisorError("full"))
    )
    with pytest.raises(HypervisorError):
        exported(tmp_path, "running")
    assert {domain.state for domain in _domains("lab")} == {"running"}
    assert not memory_volumes(host)
    assert list(tmp_path.glob("*.labgen*")) == []


def _domains(lab: str) -> list[Domain]:
    with LOCAL.connect() as hypervisor:
        return hypervisor.domains(f"{data_home.owner()}_{lab}_")


def _boots_by_itself(lab: str) -> None:
    """The machines answer once they are on, although Vagrant did not create them."""
    for node in NODES:
        (paths.lab(lab) / ".vagrant" / "machines" / node / "libvirt" / "ready").touch()


def test_two_imports_live_side_by_side(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    first = receive(tmp_path / "lab.labgen", "first", None, Silent())
    second = receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert first.readdressed
    assert second.readdressed
    assert len(set(registry.load().subnets.values())) == 3
    macs = {node.mac for name in ("lab", "first", "second") for node in journals.load(name).lab.nodes}
    assert len(macs) == 9


def test_an_import_at_other_addresses_says_what_becomes_of_its_swarm(
    host: Host, pool: Path, tmp_path: Path, run: Run
) -> None:
    exported(tmp_path)
    imported = run("import", str(tmp_path / "lab.labgen"), "--name", "second")
    assert imported.status == 0
    assert (
        "At its first start, its Swarm is formed again around the first manager, with the services it has.\n"
    ) in imported.stderr


def test_a_base_that_is_half_written_is_written_again(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    sha256 = bundle.peek(tmp_path / "lab.labgen").box.sha256
    volume = f"labgen-base_{sha256}.img"
    (pool / volume).write_bytes(b"half")
    host.add_volume(volume)
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert hashlib.sha256((pool / volume).read_bytes()).hexdigest() == sha256


def test_a_base_whose_writing_is_interrupted_is_gone(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(tmp_path)

    def begin(_self: Pool, _source: Path, volume: str, _moved: Callable[[int], None]) -> None:
        host.add_volume(volume)
        raise KeyboardInterrupt

    monkeypatch.setattr(Pool, "upload", begin)
    with pytest.raises(KeyboardInterrupt):
        receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert not any(name.startswith("labgen-base_") for name in host.volumes())
    assert journals.names() == ["lab"]


def test_a_base_that_an_import_is_about_to_use_is_not_pruned(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    destroy("second", Silent())
    for path in pool.glob("*_second_*"):
        path.unlink()
    found = prune.find()
    sha256 = bundle.peek(tmp_path / "lab.labgen").box.sha256
    assert found.volumes == [f"labgen-base_{sha256}.img"]
    with bases.locked(sha256, Silent()):
        prune.remove(found, Silent())
        assert set(found.volumes) <= host.volumes()
    prune.remove(found, Silent())
    assert not set(found.volumes) & host.volumes()


def test_an_import_keeps_its_lock_whatever_an_earlier_one_left(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    exported(tmp_path, "recipe")
    (paths.lab("second") / "incoming").mkdir(parents=True)
    read = bundle.read
    held: list[bool] = []

    def watched(*arguments: Any) -> bundle.Received:
        held.append(journals.is_locked("second"))
        return read(*arguments)

    monkeypatch.setattr(bundle, "read", watched)
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert held == [True]


def test_an_import_that_is_refused_leaves_what_a_lost_lab_needs(host: Host, tmp_path: Path) -> None:
    make()
    exported(tmp_path, "recipe")
    for name in (paths.STATE, paths.PROFILE):
        (paths.lab("lab") / name).unlink()
    kept = sorted(paths.lab("lab").rglob("*"))
    with pytest.raises(JournalLost, match="its journal is lost"):
        receive(tmp_path / "lab.labgen", "lab", None, Silent())
    assert sorted(paths.lab("lab").rglob("*")) == kept
    assert paths.KEY in {path.name for path in kept}


def test_a_damaged_bundle_is_told_also_where_libvirt_is_not(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise HostError("libvirt does not answer")

    make()
    exported(tmp_path, "recipe")
    data = (tmp_path / "lab.labgen").read_bytes()
    (tmp_path / "lab.labgen").write_bytes(data[:-1500])
    monkeypatch.setattr(Hypervisor, "connect", refuse)
    with pytest.raises(BundleError):
        receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert journals.names() == ["lab"]
    assert not paths.lab_lock("second").exists()


def test_what_does_not_fit_is_refused_before_anything_is_stored(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(tmp_path, "running")
    monkeypatch.setattr(Pool, "free_bytes", lambda _self: 1000)
    before = host.volumes()
    with pytest.raises(BundleError, match="not enough disk space") as caught:
        receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert "GiB free" in caught.value.details
    assert host.volumes() == before


def test_scripts_that_no_bundle_can_hold_are_told_before_the_work(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".setup.sh").write_text("#!/bin/sh\n")
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "name: mine\nstorage: {driver: btrfs}\nnodes: {manager: {count: 1, role: manager, provision: [.setup.sh]}}\n"
    )
    make("lab", str(profile))
    monkeypatch.setattr(freeze, "held", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(UsageError, match="a bundle cannot store") as caught:
        exported(tmp_path)
    assert ".setup.sh" in caught.value.details


def test_addresses_that_are_taken_are_not_insisted_on(host: Host, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "name: mine\nstorage: {driver: btrfs}\nnetwork: {subnet: 10.99.1.0/24}\n"
        "nodes: {manager: {count: 1, role: manager}}\n"
    )
    make("lab", str(profile))
    exported(tmp_path, "recipe")
    imported = receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert imported.readdressed
    assert start("second", Silent()).changed
    export("second", tmp_path / "again.labgen", "recipe", Silent())
    destroy("lab", Silent())
    assert not receive(tmp_path / "lab.labgen", "third", None, Silent()).readdressed
    assert receive(tmp_path / "again.labgen", "fourth", None, Silent()).readdressed


def test_without_the_box_this_host_has_to_have_it(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path, with_box=False)
    destroy("lab", Silent())
    with pytest.raises(BundleError, match="without its box"):
        receive(tmp_path / "lab.labgen", None, None, Silent())
    assert traces(host)[2:] == NOTHING[2:]


def test_secrets_travel_only_when_told_to(host: Host, tmp_path: Path) -> None:
    make()
    key = (paths.lab("lab") / paths.KEY).read_bytes()
    exported(tmp_path, "recipe")
    assert key not in (tmp_path / "lab.labgen").read_bytes()
    (tmp_path / "lab.labgen").unlink()
    exported(tmp_path, "recipe", with_secrets=True)
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    assert (paths.lab("second") / paths.KEY).read_bytes() == key


def test_nothing_of_the_senders_host_is_told(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    data = (tmp_path / "lab.labgen").read_bytes()
    for secret in (data_home.owner(), str(paths.data_home()), str(tmp_path)):
        assert secret.encode() not in data


@pytest.mark.parametrize("name", ["Vagrantfile", "up", "README.md", "network.xml"])
def test_code_of_its_own_is_refused(host: Host, tmp_path: Path, name: str) -> None:
    make()
    exported(tmp_path, "recipe")
    received = bundle.read(tmp_path / "lab.labgen", tmp_path / "parts", Silent())
    parts = {each: path.read_bytes() for each, path in received.parts.items()}
    parts[name] += b"\nsystem('touch /tmp/pwned')\n"
    bundle.write(tmp_path / "evil", received.manifest.model_copy(update={"parts": ()}), parts, Silent())
    with pytest.raises(BundleError, match=name):
        receive(tmp_path / "evil", "evil", None, Silent())
    assert "evil" not in journals.names()
    assert "evil" not in registry.load().subnets


@pytest.mark.parametrize(
    "profile", [b"name: lab\nnodes: {manager: {count: 900}}\n", b"\xff", b"!!python/object:os.system x", b"&a [*a]"]
)
def test_a_profile_is_read_as_any(host: Host, tmp_path: Path, profile: bytes) -> None:
    make()
    exported(tmp_path, "recipe")
    received = bundle.read(tmp_path / "lab.labgen", tmp_path / "parts", Silent())
    parts = {each: path.read_bytes() for each, path in received.parts.items()} | {"profile.yaml": profile}
    bundle.write(tmp_path / "evil", received.manifest.model_copy(update={"parts": ()}), parts, Silent())
    with pytest.raises(BundleError, match="profile"):
        receive(tmp_path / "evil", "evil", None, Silent())


def rewritten(tmp_path: Path, parts: dict[str, bytes], without: str = "", **manifest: object) -> Path:
    """The bundle, with other parts or another manifest, and correct hashes."""
    received = bundle.read(tmp_path / "lab.labgen", tmp_path / "parts", Silent())
    kept = {name: path.read_bytes() for name, path in received.parts.items() if name != without}
    changed = received.manifest.model_copy(update={"parts": (), **manifest})
    bundle.write(tmp_path / "evil", changed, {**kept, **parts}, Silent())
    return tmp_path / "evil"


def test_a_node_without_its_disk_is_refused(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    with pytest.raises(BundleError, match="is missing files"):
        receive(rewritten(tmp_path, {}, without="disks/worker1.root.qcow2"), "evil", None, Silent())


def test_a_key_that_is_none_is_refused(host: Host, tmp_path: Path) -> None:
    make()
    exported(tmp_path, "recipe")
    with pytest.raises(BundleError, match="private key"):
        receive(rewritten(tmp_path, {"secrets/id_ed25519": b"no key"}), "evil", None, Silent())
    assert "evil" not in journals.names()


def test_somebody_elses_addresses_are_not_taken(host: Host, tmp_path: Path) -> None:
    """A public subnet of the internet would misdirect this host's packets."""
    make()
    exported(tmp_path, "recipe")
    tools = {"labgen": "0.0.1"}  # so that the files for use by hand are not compared
    imported = receive(rewritten(tmp_path, {}, subnet="9.9.9.0/24", tools=tools), "evil", None, Silent())
    assert imported.readdressed
    assert imported.journal.lab.network.subnet.startswith("10.77.")


def test_a_disk_that_leads_elsewhere_is_refused(host: Host, pool: Path, tmp_path: Path) -> None:
    exported(tmp_path)
    received = bundle.read(tmp_path / "lab.labgen", tmp_path / "parts", Silent())
    hostile = received.parts["disks/worker1.docker.qcow2"]
    hostile.unlink()
    (tmp_path / "secret").write_bytes(b"x" * 512)
    qemu_img("create", "-f", "qcow2", "-b", str(tmp_path / "secret"), "-F", "raw", str(hostile), "4M")
    bundle.write(tmp_path / "evil", received.manifest.model_copy(update={"parts": ()}), received.parts, Silent())
    with pytest.raises(BundleError):
        receive(tmp_path / "evil", "evil", None, Silent())
    assert not any("_evil_" in name for name in host.domains() | host.volumes())


def test_names_and_files_that_are_taken(host: Host, tmp_path: Path) -> None:
    make()
    exported(tmp_path, "recipe")
    with pytest.raises(UsageError, match="exists already"):
        exported(tmp_path, "recipe")
    with pytest.raises(UsageError, match="no directory"):
        exported(tmp_path / "absent", "recipe")
    with pytest.raises(UsageError, match="already"):
        receive(tmp_path / "lab.labgen", None, None, Silent())
    assert journals.load("lab").complete


def test_a_half_made_lab_has_no_disks_to_export(host: Host, tmp_path: Path) -> None:
    host.boots = 0
    with pytest.raises(HypervisorError):
        make()
    with pytest.raises(UsageError, match="never finished"):
        exported(tmp_path)
    exported(tmp_path, "recipe")


def test_a_lab_that_has_not_run_here_is_no_lab_to_keep(host: Host, pool: Path, tmp_path: Path) -> None:
    """Its disks contain other addresses than its journal."""
    exported(tmp_path)
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    with pytest.raises(UsageError, match="has not been started yet") as caught:
        export("second", tmp_path / "again.labgen", "disks", Silent())
    assert "labgen start second" in caught.value.resolution
    with pytest.raises(UsageError, match="has not been started yet"):
        checkpoint.save("second", "one", Silent())


def test_the_machines_go_on_when_an_export_fails(
    host: Host, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pool, "download", fail)
    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path)
    with LOCAL.connect() as hypervisor:
        assert {domain.state for domain in hypervisor.domains(f"{data_home.owner()}_lab_")} == {"running"}
    assert [path for path in tmp_path.iterdir() if "lab.labgen" in path.name] == []


def test_another_box_is_said(host: Host, tmp_path: Path) -> None:
    make()
    exported(tmp_path, "recipe")
    destroy("lab", Silent())
    receive(tmp_path / "lab.labgen", None, None, Silent())
    journal = journals.load("lab")
    box = journal.lab.box.__class__("debian13", "labgen/debian13", "13.0.9")
    journals.save(journal.__class__(journal.lab.__class__(**{**journal.lab.__dict__, "box": box}), "rendered"))
    heard = Heard()
    start("lab", heard)
    assert any("13.0.9" in note for note in heard.notes)
    assert "13.1.1" in (paths.lab("lab") / "Vagrantfile").read_text()
