"""The recipes, on a host without machines; tests/vm runs them on real ones."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from labgen import paths, plan
from labgen.errors import ClusterError, GuestError, HypervisorError, LabgenError, UsageError
from labgen.host import LOCAL, addresses
from labgen.host.local import LocalHost
from labgen.kinds import KINDS
from labgen.lab import prune, status
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.list_ import listing
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.machines.bringup import Outcome
from labgen.machines.planning import preview
from labgen.model import Lab, Node, NodeFacts
from labgen.profile import Loaded, load
from labgen.progress import Event, Progress, Silent
from labgen.records import data_home, journals, registry
from labgen.subnets import Use
from tests.unit.host import Host, host

__all__ = ["host"]  # a fixture

NODES = ("manager1", "worker1", "worker2")


class Heard(Progress):
    """A listener."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        super().__init__(self.events.append)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if event.state == "note"]

    @property
    def steps(self) -> list[str]:
        return [event.text for event in self.events if event.state == "step"]


def make(
    name: str = "lab", reference: str = "three-node-btrfs", *, rollback: bool = False, cold: bool = True
) -> Outcome:
    return create(load(reference), name, Silent(), rollback=rollback, cold=cold)


def traces(host: Host) -> list[Any]:
    """The traces that labs leave."""
    return [host.domains(), host.networks(), host.volumes(), registry.load().subnets, journals.names()]


NOTHING = [set(), set(), set(), {}, []]


def test_create_goes_all_the_way(host: Host) -> None:
    outcome = make()
    assert outcome.changed
    assert outcome.journal == journals.load("lab")
    assert outcome.journal.complete
    assert {facts.storage_driver for facts in outcome.journal.facts.values()} == {"btrfs"}
    assert len(host.domains()) == 3
    assert len(host.volumes()) == 6
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    assert all(host.machine(node).scripts == ["hosts", "docker-disk", "docker"] for node in NODES)


PROFILES = sorted(path.stem for path in (Path(__file__).parents[2] / "profiles").glob("*.yaml"))


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("reference", PROFILES)
def test_what_is_done_is_said_in_words_and_not_in_names_of_scripts(host: Host, reference: str, cold: bool) -> None:
    loaded = load(reference)
    host.driver = loaded.profile.storage.driver
    watched = Heard()
    lab = create(loaded, "lab", watched, cold=cold).journal.lab
    start("lab", watched)
    scripts = {step.script for node in lab.nodes for step in node.steps}
    run = {script for node in lab.nodes for script in host.machine(node.name).scripts}
    assert {f"{name}.sh" for name in run if not name.startswith("agent")} == set(plan.scripts(lab))
    assert {"adding the names of the other nodes", "starting Docker"} <= set(watched.steps)
    for said in watched.steps:
        assert not re.search(r"\.sh\b|/|_", said), said
        assert not {Path(script).stem for script in scripts} & set(said.split()), said
    assert not any(".sh" in note for note in watched.notes)


def test_create_again_has_nothing_to_do(host: Host) -> None:
    make()
    assert not make().changed
    assert host.ups == 1
    assert all(len(host.machine(node).scripts) == 3 for node in NODES)


def test_labs_of_one_profile_live_side_by_side(host: Host) -> None:
    first, second = make("first").journal.lab, make("second").journal.lab
    assert first.network.subnet != second.network.subnet
    destroy("first", Silent())
    assert host.domains() == {node.domain for node in second.nodes}
    assert host.networks() == {second.network.name}
    assert len(host.volumes()) == 6


def test_emulation_is_said_out_loud(host: Host) -> None:
    heard = Heard()
    create(load("single-node", ["storage.driver=btrfs"]), "lab", heard, cold=True)
    assert any("software emulation" in note for note in heard.notes)


@pytest.mark.parametrize(
    "attempt", [lambda loaded: preview(loaded, "lab"), lambda loaded: create(loaded, "lab", Silent())]
)
def test_another_profile_under_a_taken_name_is_refused(host: Host, attempt: Callable[[Loaded], object]) -> None:
    make()
    with pytest.raises(UsageError, match="a different profile") as caught:
        attempt(load("three-node-btrfs", ["resources.memory=2GiB", "nodes.worker.count=3", "labels={rack: a}"]))
    assert caught.value.details.splitlines()[:-1] == [
        "labels.rack: not set in the lab, a now",
        "nodes.worker.count: 2 in the lab, 3 now",
        "resources.memory: 1GiB in the lab, 2GiB now",
    ]


def test_a_profile_that_says_the_same_in_other_words_is_no_other(host: Host, tmp_path: Path) -> None:
    make()
    recorded = paths.lab("lab") / paths.PROFILE
    written = recorded.read_text()
    recorded.write_text(written.replace("orchestrator: swarm\n", ""))  # as if that field had been added later
    assert recorded.read_text() != written
    assert not make().changed


def test_a_recorded_profile_that_cannot_be_read_is_another(host: Host) -> None:
    make()
    (paths.lab("lab") / paths.PROFILE).write_text("nodes: [")
    with pytest.raises(UsageError) as caught:
        make()
    assert "cannot be read" in caught.value.details


def test_a_boot_that_failed_is_resumed(host: Host) -> None:
    host.boots = 1
    with pytest.raises(HypervisorError, match="booting"):
        make()
    assert journals.load("lab").failure == "booting the machines failed"
    assert status.status("lab").state == "failed"
    host.boots = None
    assert make().journal.complete
    assert len(host.domains()) == 3


@pytest.mark.parametrize("lost", ["record", "domain", "card"])
def test_half_made_machines_are_made_anew(host: Host, lost: str) -> None:
    lab = make().journal.lab
    journals.save(replace(journals.load("lab"), stage="clustered"))
    worker = lab.node("worker1")
    if lost == "record":
        (paths.lab("lab") / ".vagrant" / "machines" / "worker1" / "libvirt" / "id").unlink()
    else:
        domain = host.libvirt.lookupByName(worker.domain)
        definition = domain.XMLDesc()
        domain.destroy()
        domain.undefine()
        if lost == "card":
            host.libvirt.defineXML(re.sub("<interface.*</interface>", "", definition, flags=re.DOTALL))
    known = paths.lab("lab") / paths.KNOWN_HOSTS
    known.write_text(f"{worker.address} ssh-ed25519 OLD\n{lab.nodes[0].address} ssh-ed25519 KEPT\n")
    assert make().changed
    assert len(host.domains()) == 3
    assert host.machine("worker1").scripts == ["hosts", "docker-disk", "docker"]
    assert "OLD" not in known.read_text()
    assert "KEPT" in known.read_text()


def test_a_machine_that_is_off_is_started(host: Host) -> None:
    lab = make().journal.lab
    host.libvirt.lookupByName(lab.nodes[1].domain).destroy()
    assert make().changed
    assert host.libvirt.lookupByName(lab.nodes[1].domain).isActive()


def test_a_docker_that_had_to_be_set_up_again_is_something_done(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    inspect = KINDS["swarm"].inspect
    broken = {"worker1"}

    def look(lab: Lab, node: Node, connection: Any) -> NodeFacts:
        if node.name in broken:
            broken.discard(node.name)
            raise GuestError("Docker does not run")
        return inspect(lab, node, connection)

    monkeypatch.setattr(KINDS["swarm"], "inspect", look)
    assert make().changed
    assert not make().changed


def test_a_machine_that_stood_still_and_goes_on_is_something_done(host: Host) -> None:
    lab = make().journal.lab
    host.libvirt.lookupByName(lab.nodes[0].domain).suspend()
    assert make().changed


def test_another_driver_than_asked_for_fails(host: Host) -> None:
    host.driver = "vfs"
    with pytest.raises(GuestError) as caught:
        make()
    assert "vfs" in caught.value.details or "vfs" in caught.value.brief
    assert not journals.load("lab").complete


def test_a_failing_guest_script_is_quoted(host: Host) -> None:
    host.failing_script = "docker-disk.sh"
    with pytest.raises(GuestError) as caught:
        make(reference="single-node")
    assert "exit status 7" in caught.value.brief
    assert "what went wrong" in caught.value.details
    assert (paths.lab("lab") / "logs" / "manager1.provision.log").read_text().count("what went wrong") == 1


def test_a_machine_that_does_not_come_up_is_told_with_the_evidence(host: Host) -> None:
    host.unreachable = "worker2"
    with pytest.raises(GuestError) as caught:
        make()
    assert "worker2 did not come up" in caught.value.brief
    assert "machine: running" in caught.value.details
    assert "port 22: closed" in caught.value.details


def test_rollback_leaves_nothing(host: Host) -> None:
    host.failing_script = "docker.sh"
    with pytest.raises(GuestError):
        make(rollback=True)
    assert traces(host) == NOTHING


def test_rollback_keeps_a_lab_that_was_there_before(host: Host) -> None:
    make()
    host.unreachable = "worker1"
    with pytest.raises(GuestError):
        make(rollback=True)
    assert journals.load("lab").complete


def test_ctrl_c_keeps_the_lab_and_says_so_in_the_journal(host: Host) -> None:
    with pytest.raises(KeyboardInterrupt):
        create(load("three-node-btrfs"), "lab", Progress(_interrupt_at_the_cluster), cold=True)
    assert journals.load("lab").failure == "interrupted"
    destroy("lab", Silent())
    assert traces(host) == NOTHING


def _interrupt_at_the_cluster(event: Event) -> None:
    if "cluster" in event.text:
        raise KeyboardInterrupt


def test_destroy_needs_neither_journal_nor_profile(host: Host) -> None:
    make()
    (paths.lab("lab") / paths.STATE).write_text("damaged")
    destroy("lab", Silent())
    assert traces(host) == NOTHING


def test_a_lab_whose_directory_was_moved_and_linked_can_be_destroyed(host: Host, tmp_path: Path) -> None:
    make()
    elsewhere = paths.lab("lab").rename(tmp_path / "elsewhere")
    paths.lab("lab").symlink_to(elsewhere)
    destroy("lab", Silent())
    assert traces(host) == NOTHING
    assert list(elsewhere.iterdir()) == []


def test_destroy_removes_vagrants_record_and_no_other(host: Host) -> None:
    make()
    index = paths.vagrant_home() / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    foreign = {"vagrantfile_path": "/somewhere/else", "name": "default"}
    machines = {"ours": {"vagrantfile_path": str(paths.lab("lab")), "name": "manager1"}, "foreign": foreign}
    index.write_text(json.dumps({"version": 1, "machines": machines}))
    destroy("lab", Silent())
    assert json.loads(index.read_text()) == {"version": 1, "machines": {"foreign": foreign}}


def test_destroy_of_an_unknown_lab_names_the_near_ones(host: Host) -> None:
    make("three")
    with pytest.raises(UsageError) as caught:
        destroy("tree", Silent())
    assert "three" in caught.value.details


def test_prune_finds_what_belongs_to_no_lab(host: Host) -> None:
    make("lost")
    make("kept")
    shutil.rmtree(paths.lab("lost"))
    paths.incoming("lost").mkdir(parents=True)  # as left by an interrupted import
    orphans = prune.find()
    assert {name.split("_")[1] for name in (*orphans.domains, *orphans.networks, *orphans.volumes)} == {"lost"}
    assert len(orphans.rows()) == 3 + 1 + 6 + 1 + 1
    prune.remove(orphans, Silent())
    assert prune.find().rows() == []
    assert make("kept").changed is False


def test_prune_takes_replaced_boxes_and_leaves_the_newest(host: Host) -> None:
    make()
    pool = host.libvirt.storagePoolLookupByName("labgen")
    for version in ("13.0.7", "13.1.1"):
        name = f"labgen-VAGRANTSLASH-debian13_vagrant_box_image_{version}_box.img"
        pool.createXML(f"<volume><name>{name}</name><capacity unit='MiB'>1</capacity></volume>")
    orphans = prune.find()
    assert orphans.volumes == ["labgen-VAGRANTSLASH-debian13_vagrant_box_image_13.0.7_box.img"]
    prune.remove(orphans, Silent())
    assert prune.find().rows() == []


def test_stop_and_start(host: Host) -> None:
    lab = make().journal.lab
    assert stop("lab", Silent())
    assert not stop("lab", Silent())
    assert status.status("lab").state == "stopped"
    assert start("lab", Silent()).changed
    assert not start("lab", Silent()).changed
    assert all(host.libvirt.lookupByName(node.domain).isActive() for node in lab.nodes)


def test_start_goes_on_with_a_lab_that_was_not_finished(host: Host) -> None:
    host.boots = 0
    with pytest.raises(HypervisorError):
        make()
    host.boots = None
    assert start("lab", Silent()).changed
    assert journals.load("lab").complete


def test_start_of_a_lab_without_files_points_to_create(host: Host) -> None:
    make()
    journals.save(replace(journals.load("lab"), stage="planned"))
    with pytest.raises(UsageError) as caught:
        start("lab", Silent())
    assert "labgen create" in caught.value.resolution


def test_status_has_the_form_that_scripts_read(host: Host) -> None:
    make()
    found = status.status("lab").to_json()
    assert set(found) == {"lab", "profile", "state", "box", "orchestrator", "registry", "interrupted", "nodes"}
    assert found["state"] == "running"
    assert found["registry"] is None
    cluster = {"state": "ready", "availability": "active", "leader": True}
    assert found["nodes"][0] == {
        "name": "manager1",
        "kind": "swarm",
        "role": "manager",
        "address": "10.77.0.11",
        "state": "running",
        "connected": True,
        "network": {"up": True, "delay": None, "loss": None, "rate": None, "rate_direction": None},
        "storage_driver": "btrfs",
        "backing_filesystem": "btrfs",
        "engine_version": "26.1.5",
        "kernel": "6.12",
        "cluster": cluster,
        "swarm": cluster,
    }


def test_status_of_a_cluster_that_does_not_answer_is_unknown(host: Host) -> None:
    make()
    host.unreachable = "manager1"
    assert {node["cluster"]["state"] for node in status.status("lab").to_json()["nodes"]} == {"unknown"}


def test_list_shows_damaged_labs_too(host: Host) -> None:
    assert listing() == []
    make("good")
    make("bad")
    (paths.lab("bad") / paths.STATE).write_text("damaged")
    assert {row["name"]: row["state"] for row in listing()} == {"good": "running", "bad": "failed"}


def test_a_preview_touches_nothing(host: Host, home: Path) -> None:
    planned = preview(load("three-node-btrfs"), "lab")
    assert paths.VAGRANTFILE in planned.files
    assert not home.exists()
    assert data_home.owner_of_path() in planned.notes[-1]
    data_home.owner()
    planned = preview(load("three-node-btrfs"), "lab")
    assert planned.notes == ()
    make()
    assert preview(load("three-node-btrfs"), "lab").lab == planned.lab == journals.load("lab").lab


def test_a_preview_knows_the_networks_that_create_would_avoid(host: Host) -> None:
    host.libvirt.networkDefineXML(
        "<network><name>other</name><bridge name='other'/><ip address='10.77.0.1' prefix='24'/></network>"
    )
    data_home.owner()
    planned = preview(load("three-node-btrfs"), "lab").lab
    assert planned.network.subnet == "10.77.1.0/24"
    assert make().journal.lab == planned


def test_a_preview_says_what_it_could_not_ask(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalHost, "libvirt", replace(LOCAL.libvirt, uri="test:///no-such-file"))
    planned = preview(load("three-node-btrfs"), "lab")
    assert "libvirt does not answer" in planned.notes[0]
    assert planned.lab.network.subnet == "10.77.0.0/24"


def test_a_vpn_is_said_by_preview_and_create_alike(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    route = Use(IPv4Network("10.0.0.0/8"), "a route through tun0", wide=True)
    monkeypatch.setattr(addresses, "of_host", lambda: [route])
    data_home.owner()
    (note,) = preview(load("single-node"), "lab").notes
    heard = Heard()
    create(load("single-node", ["storage.driver=btrfs"]), "lab", heard, cold=True)
    assert note in heard.notes
    assert "10.0.0.0/8, a route through tun0" in note


def test_a_cluster_that_fails_is_resumed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ClusterError("starting the Swarm failed")

    with monkeypatch.context() as patch:
        patch.setattr("tests.unit.engines.FakeEngine.swarm_init", refuse)
        with pytest.raises(ClusterError):
            make()
    assert journals.load("lab").stage == "provisioned"
    assert make().journal.complete


def test_two_at_once_exclude_each_other(host: Host) -> None:
    with journals.locked("lab"):
        for attempt in (make, lambda: stop("lab", Silent())):
            with pytest.raises(LabgenError):
                attempt()
