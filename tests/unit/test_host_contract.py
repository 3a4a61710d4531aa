"""The promises of every host, checked for this machine and another one; and that labs use their host's values."""

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from labgen import paths
from labgen.domain import domain_xml, root_volume
from labgen.errors import HostError, HypervisorError, ProfileError
from labgen.handoff import files as handed_over
from labgen.host import LOCAL, Host, accelerator, addresses, checks
from labgen.host.local import LocalHost
from labgen.impairment import Impairment
from labgen.lab import checkpoint, doctor, net, status
from labgen.lab.destroy import destroy
from labgen.machines import opened, parts, planning, recovery, seen
from labgen.model import Lab, Libvirt
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import journals
from labgen.records.journals import JournalLost
from labgen.render import vagrantfile
from tests.unit.another_host import AnotherHost
from tests.unit.host import Host as World
from tests.unit.host import host as world
from tests.unit.labs import planned
from tests.unit.test_lab import make

__all__ = ["world"]  # a fixture

ROOT = Path(__file__).parents[2]
URI = "test:///default"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """This machine, except for its libvirt."""
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(LocalHost, "libvirt", Libvirt(URI, "labgen", tmp_path / "here"))
    return LOCAL


@pytest.fixture
def elsewhere(tmp_path: Path) -> AnotherHost:
    (tmp_path / "elsewhere").mkdir()
    return AnotherHost(tmp_path / "elsewhere")


@pytest.fixture(params=["here", "elsewhere"])
def each(request: pytest.FixtureRequest) -> Host:
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def driver() -> Iterator[Any]:
    """libvirt's test driver, which forgets everything when its last connection is closed."""
    connection = libvirt.open(URI)
    yield connection
    connection.close()


@pytest.fixture
def lab() -> Lab:
    return planned()


# the promises of every host


def test_a_volume_lies_in_the_directory_of_the_pool(each: Host) -> None:
    assert each.libvirt.directory.is_absolute()
    assert Path(each.libvirt.path("a.img")) == each.libvirt.directory / "a.img"


def test_the_accelerator_is_one_with_a_reason_and_stays(each: Host) -> None:
    verdict = each.accelerator()
    assert verdict.kind in {"kvm", "tcg"}
    assert verdict.reason
    assert not verdict.reason.endswith(".")
    assert each.accelerator(Silent()) == verdict


def test_memory_is_in_mib(each: Host) -> None:
    assert 2**6 < each.available_memory() < 2**24


def test_free_space_is_in_bytes_and_unknown_of_a_pool_that_is_not_there(
    here: Host, elsewhere: AnotherHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here.free_in_pool() > 2**20
    assert elsewhere.free_in_pool() > 2**20
    monkeypatch.setattr(LocalHost, "libvirt", replace(here.libvirt, directory=Path("/no/such/directory")))
    elsewhere.place = here.libvirt
    for each in (here, elsewhere):
        with pytest.raises(OSError, match="such"):
            each.free_in_pool()


def test_addresses_are_somebodys_and_never_all_there_are(each: Host) -> None:
    for use in each.addresses():
        assert use.who
        assert not use.lab
        assert use.network.prefixlen > 0


def test_what_is_there_and_what_is_not(each: Host) -> None:
    assert each.has(each.libvirt.directory)
    assert not each.has(Path("/no/such/device"))


def test_an_interface_lacks_its_bridge_only_if_it_is_there(here: Host, elsewhere: AnotherHost) -> None:
    elsewhere.loose = {"lo"}
    for each in (here, elsewhere):
        assert each.lacks_bridge("lo")
        assert not each.lacks_bridge("nosuchcard0")


@pytest.mark.usefixtures("driver")
def test_a_connection_is_to_the_hosts_own_libvirt_and_pool(each: Host, driver: Any) -> None:
    with each.connect() as hypervisor:
        assert hypervisor.libvirt == each.libvirt
        hypervisor.pool.create("below", 1)
        hypervisor.pool.create("above", 1, "below")
        assert hypervisor.pool.backing("above") == "below"
        hypervisor.save_memory("test", "memory")
    pools = {pool.name(): pool for pool in driver.listAllStoragePools()}
    assert set(pools) - {"default-pool"} == {each.libvirt.pool}
    volume = pools[each.libvirt.pool].storageVolLookupByName("above")
    assert volume.path() == each.libvirt.path("above")
    assert f"<path>{each.libvirt.path('below')}</path>" in volume.XMLDesc()
    assert Path(each.libvirt.path("memory")).exists()


def test_a_libvirt_that_is_not_there_is_named(here: Host, elsewhere: AnotherHost, monkeypatch: Any) -> None:
    elsewhere.place = replace(elsewhere.place, uri="test:///no-such-file")
    monkeypatch.setattr(LocalHost, "libvirt", elsewhere.place)
    for each in (here, elsewhere):
        with pytest.raises(HostError, match="libvirt does not answer") as caught:
            each.connect()
        assert "no-such-file" in caught.value.details


# labs use their host's values


def test_a_vagrantfile_names_the_hosts_libvirt_and_no_other(each: Host, lab: Lab) -> None:
    libvirt_there = replace(each.libvirt, uri=f"qemu+ssh://{each.libvirt.pool}.example/system")
    text = vagrantfile(lab, libvirt_there)
    assert set(re.findall(r"'([a-z+]+:///?[^']*)'", text)) == {libvirt_there.uri}
    assert text.count(libvirt_there.uri) == 3  # for the network and what is said of it, and for the machines
    assert re.findall(r"storage_pool_name = '(.*)'", text) == [each.libvirt.pool]


def test_a_machine_has_its_disks_where_the_hosts_pool_is(each: Host, lab: Lab) -> None:
    for node in lab.nodes:
        tree = ElementTree.fromstring(domain_xml(lab, node, each.libvirt, Path("/lab"), "key"))
        files = [source.get("file", "") for source in tree.iterfind("devices/disk/source")]
        assert len(files) == 2
        assert {str(Path(file).parent) for file in files} == {str(each.libvirt.directory)}


@pytest.mark.usefixtures("driver")
def test_a_disk_that_is_missing_is_named_where_it_was(each: Host, lab: Lab) -> None:
    with each.connect() as hypervisor, pytest.raises(HypervisorError) as caught:
        parts.require_whole(lab, hypervisor)
    assert each.libvirt.path(root_volume(lab.nodes[0])) in caught.value.details


def test_a_subnet_is_chosen_among_what_the_host_leaves_free(elsewhere: AnotherHost) -> None:
    assert addresses.in_use({}, [], elsewhere) == elsewhere.addresses()
    choice = planning.choose_subnet(load("single-node"), {}, [], elsewhere)
    assert choice.subnet == "10.77.128.0/24"
    with pytest.raises(ProfileError, match="in use") as caught:
        planning.choose_subnet(load("single-node", ["network.subnet=10.77.3.0/24"]), {}, [], elsewhere)
    assert "another host's office" in caught.value.details


def test_the_checks_are_about_the_host_that_they_are_asked_of(elsewhere: AnotherHost) -> None:
    profile = load("three-node-btrfs").profile
    assert checks.kvm(elsewhere, Silent()).evidence == elsewhere.accelerator().reason
    assert "1.2 GiB are available" in checks.memory(elsewhere, profile).evidence
    elsewhere.memory_mib = 123456
    assert checks.memory(elsewhere, profile).status == "ok"
    with elsewhere.connect() as hypervisor:
        assert "56.0 GiB free" in checks.disk(elsewhere, hypervisor, profile).evidence
        elsewhere.free_bytes = 1 << 30
        assert "1.0 GiB free" in checks.pool(elsewhere, hypervisor).evidence
    elsewhere.place = replace(elsewhere.place, uri="test:///no-such-file")
    assert "no-such-file" in checks.libvirt(elsewhere).evidence


@pytest.fixture
def moved(world: World, elsewhere: AnotherHost, monkeypatch: pytest.MonkeyPatch) -> AnotherHost:
    """From now on labs are on another host."""
    monkeypatch.setattr(opened, "LOCAL", elsewhere)
    monkeypatch.setattr(seen, "LOCAL", elsewhere)
    world.pool = elsewhere.libvirt.pool
    return elsewhere


def test_a_lab_lives_on_its_host_and_nowhere_else(
    world: World, moved: AnotherHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Host] = []
    monkeypatch.setattr(doctor, "require_ready", lambda _profile, host: asked.append(host))
    made = make().journal.lab
    assert asked == [moved]
    assert made.accelerator == "kvm"
    assert not IPv4Network(made.network.subnet).overlaps(IPv4Network("10.77.0.0/17"))
    text = (paths.lab("lab") / paths.VAGRANTFILE).read_text()
    assert "storage_pool_name = 'elsewhere'" in text
    assert len(world.volumes()) == 2 * len(made.nodes)
    assert "labgen" not in {pool.name() for pool in world.libvirt.listAllStoragePools()}
    moved.loose = {"tap-worker1"}
    now = status.status("lab")
    assert (now.state, now.cut_off) == ("running", ["worker1"])
    destroy("lab", Silent())
    assert world.volumes() == set()
    assert "labgen" not in {pool.name() for pool in world.libvirt.listAllStoragePools()}


def test_a_nodes_network_is_changed_where_the_lab_is(world: World, moved: AnotherHost) -> None:
    make()
    changed = net.impair("lab", "worker1", {"delay": 100_000}, Silent())
    assert moved.impaired == {"tap-worker1": Impairment(delay=100_000)}
    assert world.impaired == {}
    assert changed["worker1"].delay == "100ms"
    assert net.look("lab") == status.status("lab").networks
    net.reset("lab", None, Silent())
    assert moved.impaired == {}


def test_a_checkpoint_is_kept_where_the_lab_is(world: World, moved: AnotherHost) -> None:
    make()
    checkpoint.save("lab", "kept", Silent())
    saved = [path.name for path in moved.libvirt.directory.iterdir()]
    assert len(saved) == len(journals.load("lab").lab.nodes)
    assert set(saved) <= world.volumes()


def test_a_lost_lab_is_looked_for_where_it_would_be(world: World, moved: AnotherHost) -> None:
    make()
    (paths.lab("lab") / paths.STATE).unlink()
    for domain in world.libvirt.listAllDomains():
        if domain.name() != "test":
            domain.destroy()
            domain.undefine()
    recovery.refuse_lost("lab", LOCAL)
    with pytest.raises(JournalLost):
        recovery.refuse_lost("lab", moved)


# the receiver of a bundle has another host


@pytest.mark.usefixtures("moved")
def test_a_bundle_names_the_libvirt_of_its_receiver(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalHost, "libvirt", replace(LOCAL.libvirt, uri="qemu:///receivers"))
    made = handed_over(lab, {})
    assert "virsh -c qemu:///receivers list" in made["README.md"]
    assert "'qemu:///receivers'" in made[paths.VAGRANTFILE]


# this machine, as the scripts see it


def test_the_scripts_mean_the_same_libvirt_and_the_same_device() -> None:
    scripts = "".join(path.read_text() for path in (ROOT / "scripts" / "host").iterdir())
    assert set(re.findall(r"[a-z+]+:///\w+", scripts)) == {LOCAL.libvirt.uri}
    assert set(re.findall(r"/dev/kvm(?:\.\w+)?", scripts)) == {str(accelerator.KVM), str(accelerator._KVM_ASIDE)}
