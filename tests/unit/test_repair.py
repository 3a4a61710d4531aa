"""Repair checks, explains and asks: data of a lab that was once complete is discarded only on a user's request."""

import ast
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from labgen import paths, vagrant
from labgen.domain import volumes
from labgen.errors import BoxError, ClusterError, HypervisorError, LabgenError, UsageError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.lab import prune, status
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.rebuild import losses, rebuild
from labgen.lab.start import start, unlock
from labgen.lab.stop import stop
from labgen.lab.suspend import suspend
from labgen.orchestrators import ClusterGone, ClusterLocked
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import journals, registry
from labgen.records.journals import JournalLost
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.test_lab import NODES, NOTHING, Heard, make, traces

__all__ = ["host", "run"]  # a fixture
PACKAGE = Path(__file__).parents[2] / "labgen"

# The calls that discard something of a lab, and the functions that may use them, each with its reason. The name of an
# inner function follows that of its outer function.
GIVE_UP = {
    # libvirt's and Docker's own names, each used in one place
    "undefineFlags": {"connection.remove_domain"},
    "undefine": {"connection.remove_network", "pool.dissolve"},
    "managedSaveRemove": {"connection.cut_power"},
    "revertToSnapshot": {"connection.revert_disks"},
    "blockCommit": {"overlays._merge"},
    "destroy": {
        "connection.cut_power",
        "connection.remove_network",
        "overlays.end",  # of a machine that it has started itself, and that runs nothing
        "pool.dissolve",
    },
    "delete": {
        "connection.forget_disks",  # a snapshot
        "pool.remove",
        "pool.probe_write",  # doctor's probe
        "pool.dissolve",  # the pool's directory, if it is empty
        "cli.checkpoint.delete",  # on its user's request
    },
    "leave_swarm": {"engine.swarm_leave"},
    "force_new_cluster=": {"engine.swarm_take_over"},
    "swarm leave": {
        "swarm_states.refuse_strangers",  # which only mentions it
        "swarm_states._way_with_errors",  # likewise
        "quorum_loss._return_by_hand",  # likewise
        "swarm_words",  # a manager that was lost when the others began anew, in a drill
    },
    "--force-new-cluster": {
        "swarm_states.leaderless",  # which only mentions it
        "quorum_loss",  # likewise
        "quorum_loss._begin_anew",  # a drill that needs --force
    },
    # and the functions built on them
    "remove_domain": {
        "connection.sweep",  # its callers are below
        "boot.remove",
    },
    "cut_power": {
        "connection.remove_domain",
        "freeze.revert",  # to a checkpoint, after a yes
        "stages.go_on_with_received_memory",  # of an import that has not been started yet
        "power.shut_down.wait",  # of a machine that did not react to its power button
        "power.cut",  # kill
        "nodes.cut_power",  # a drill, which switches it on again
        "comparison.lose",  # a drill
        "leader_loss.run",
        "persist.run",
        "power_off.run",
        "quorum_loss.run",
        "warm.go_on",  # of machines that cannot resume from others' memory
    },
    "revert_disks": {"freeze.revert"},
    "freeze.revert": {
        "checkpoint.restore",  # after a yes
        "freeze.recover",  # of an interrupted restore
    },
    "forget_disks": {"freeze.drop"},
    "freeze.drop": {
        "checkpoint.delete",
        "freeze.recover",  # of an interrupted save or delete
    },
    "drop_memory": {
        "freeze._let_go",  # to be written into a bundle
        "freeze.drop",
        "stages.go_on_with_received_memory",
    },
    "restore_memory": {
        "freeze.go_on_from_memory",  # before any machine runs on the disks of that moment
        "freeze._wake",  # of an interrupted save
        "warm.go_on.restore",
    },
    "write_start": {"warm._redefine"},  # of memory that no machine of a lab has run with
    "boot.remove": {
        "boot.clear_half_made",  # only of a lab that was never complete; test_half_made below
        "warm.awaken",  # the machines that it has just created itself
        "rebuild._make_disks",
    },
    "pool.remove": {
        "connection.sweep",
        "boot.remove",
        "warm.remove",  # templates
        "freeze.drop_memory",  # checkpoints' and exports' memory, by their labels
        "overlays.end",  # what has been merged
        "bases.place",  # a half-written box
        "bases.remove_unused",
        "prune.remove",
        "uninstall._dissolve_pool",  # doctor's probe
    },
    "remove_network": {
        "connection.sweep",
        "uninstall._dissolve_pool",
        "services.remove_network",
        "swarm_changes._put_back",  # which a drill has made
    },
    "pool.dissolve": {"uninstall._dissolve_pool"},  # of a pool in which there is no volume
    "clear_half_made": {
        "bringup",  # the stage, of a lab that was never complete
        "stages.clear_half_made",
    },
    "swarm_leave": {"swarm._leave_if_in"},
    "_leave_if_in": {
        "swarm.form",  # the first manager of a new Swarm, after swarm_states.refuse_new
        "swarm._join.join",  # after swarm_states.refuse_strangers
        "swarm._leave",
    },
    "swarm._leave": {"swarm.move"},
    "swarm_take_over": {"swarm_moved._take_over"},
    "swarm_moved._take_over": {"swarm_moved.take_over"},
    "swarm_moved.take_over": {"swarm.move", "swarm_changes.regain"},
    "orchestrator.move": {"stages.move_cluster"},  # of an import that has other addresses here
    "swarm_init": {"swarm.form"},
    "sweep": {
        "removal.clear_lab",
        "prune._remove_remains",  # leftovers that belong to no lab
        "trial._sweep",  # doctor's own machine, whose name no lab can have: test_doctor
    },
    "clear_lab": {"removal.remove_lab", "import_.receive"},
    "remove_lab": {
        "destroy.destroy",
        "create.create",  # --on-failure rollback, of a lab that this call has begun
        "import_.receive",  # an import that failed
        "uninstall.remove",  # prune --everything, after a yes that named each lab
    },
}
SAID = [each for each in GIVE_UP if " " in each or each.startswith("-")]


def uses() -> Iterator[tuple[str, str]]:
    """Every name in labgen's code, alone and with the object it belongs to, and the function that contains it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = f"cli.{path.stem}" if path.parent.name == "cli" else path.stem
        for node, within in _nodes(ast.parse(path.read_text()), module):
            if isinstance(node, ast.Attribute):
                yield node.attr, within
                yield f"{ast.unparse(node.value).split('.')[-1].strip('_')}.{node.attr}", within
            elif isinstance(node, ast.Name):
                yield node.id, within
                yield f"{path.stem}.{node.id}", within
            elif isinstance(node, ast.keyword):
                yield f"{node.arg}=", within
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from ((words, within) for words in SAID if words in node.value)


def _nodes(tree: ast.AST, within: str) -> Iterator[tuple[ast.AST, str]]:
    """With the qualified name of the function that contains each; classes and docstrings are left out."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield child, within
            inside = f"{within}.{child.name}" if isinstance(child, ast.FunctionDef) else within
            yield from _nodes(child, inside)


def test_only_those_who_may_give_something_up_do() -> None:
    found: dict[str, set[str]] = {used: set() for used in GIVE_UP}
    for used, within in uses():
        if used in GIVE_UP:
            found[used].add(within)
    assert found == GIVE_UP


def domain(host: Host, node: str) -> Any:
    return host.libvirt.lookupByName(journals.load("lab").lab.node(node).domain)


def undefine(host: Host, node: str) -> None:
    domain(host, node).destroy()
    domain(host, node).undefine()


def remove_volume(host: Host, name: str) -> None:
    host.libvirt.storagePoolLookupByName("labgen").storageVolLookupByName(name).delete()


def lose_record(host: Host) -> None:
    shutil.rmtree(paths.lab("lab") / ".vagrant")


def lose_domain(host: Host) -> None:
    undefine(host, "worker1")


def lose_root_disk(host: Host) -> None:
    remove_volume(host, volumes(journals.load("lab").lab.node("worker1"))["root"])


def lose_docker_disk(host: Host) -> None:
    remove_volume(host, volumes(journals.load("lab").lab.node("worker1"))["docker"])


def lose_all_of_a_node(host: Host) -> None:
    lose_root_disk(host)
    lose_docker_disk(host)
    lose_domain(host)


def lose_public_key(host: Host) -> None:
    (paths.lab("lab") / paths.KEY).with_suffix(".pub").unlink()


def lose_network(host: Host) -> None:
    network = host.libvirt.networkLookupByName(journals.load("lab").lab.network.name)
    network.destroy()
    network.undefine()
    (paths.lab("lab") / paths.NETWORK_XML).unlink()


def lose_known_hosts(host: Host) -> None:
    (paths.lab("lab") / paths.KNOWN_HOSTS).unlink(missing_ok=True)


def lose_journal(host: Host) -> None:
    (paths.lab("lab") / paths.STATE).unlink()


def damage_journal(host: Host) -> None:
    (paths.lab("lab") / paths.STATE).write_text('{"schema": 1')


def lose_registry(host: Host) -> None:
    paths.registry().unlink()


def damage_registry(host: Host) -> None:
    paths.registry().write_text("{")


def damage_index(host: Host) -> None:
    index = paths.vagrant_home() / vagrant.INDEX
    index.parent.mkdir(parents=True)
    index.write_text("{")


def lose_index(host: Host) -> None:
    index = paths.vagrant_home() / vagrant.INDEX
    assert not index.exists()
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()


MENDED = [
    lose_record,
    lose_public_key,
    lose_network,
    lose_known_hosts,
    lose_journal,
    damage_journal,
    lose_registry,
    damage_registry,
    damage_index,
    lose_index,
]
NAMED = {
    lose_domain: "is not defined in libvirt",
    lose_root_disk: "its root disk ",
    lose_docker_disk: "its docker disk ",
    lose_all_of_a_node: "is not defined in libvirt",
}


@pytest.mark.parametrize("lose", MENDED)
@pytest.mark.parametrize("running", [True, False])
def test_what_can_be_written_again_is(host: Host, lose: Callable[[Host], None], running: bool) -> None:
    journal = make().journal
    machines, disks, scripts = host.domains(), host.volumes(), len(host.machine("worker1").scripts)
    uuids = {node: domain(host, node).UUIDString() for node in NODES}
    if not running:
        stop("lab", Silent())
    lose(host)
    start("lab", Silent())
    assert (host.domains(), host.volumes()) == (machines, disks)
    assert {node: domain(host, node).UUIDString() for node in NODES} == uuids
    assert vagrant.known_machines(paths.lab("lab")) == uuids
    assert len(host.machine("worker1").scripts) == scripts  # nothing was set up again
    assert (paths.lab("lab") / paths.KEY).with_suffix(".pub").is_file()
    found = journals.load("lab")
    assert found == replace(journal, request=found.request)  # the original request is only in the journal
    assert registry.load().subnets == {"lab": journal.lab.network.subnet}
    assert host.ups == 1
    destroy("lab", Silent())
    assert traces(host) == NOTHING


FOREIGN = '{"version":1, "machines": {"theirs": {"vagrantfile_path": "/srv/theirs", "name": "default", "x": [1]}}}'


@pytest.mark.parametrize(
    "verb", [["start", "lab"], ["rebuild", "lab", "worker1", "--yes"], ["destroy", "lab", "--yes"]]
)
@pytest.mark.parametrize("content", [None, FOREIGN], ids=["no index", "only others in it"])
def test_nothing_depends_on_vagrants_index_and_others_entries_stay_as_they_are(
    host: Host, run: Run, verb: list[str], content: str | None
) -> None:
    make()
    index = paths.vagrant_home() / vagrant.INDEX
    if content:
        index.parent.mkdir(parents=True)
        index.write_text(content)
    stop("lab", Silent())
    done = run(*verb)
    assert done.status == 0, done.stderr
    assert (index.read_text() if index.exists() else None) == content
    if verb[0] != "destroy":
        uuids = {node: domain(host, node).UUIDString() for node in NODES}
        assert vagrant.known_machines(paths.lab("lab")) == uuids


@pytest.mark.parametrize("lose", NAMED)
@pytest.mark.parametrize("attempt", [make, lambda: start("lab", Silent())])
def test_what_is_gone_is_named_and_nothing_made_in_its_place(
    host: Host, lose: Callable[[Host], None], attempt: Callable[[], object]
) -> None:
    make()
    lose(host)
    before = traces(host)
    with pytest.raises(HypervisorError) as caught:
        attempt()
    assert "worker1" in caught.value.brief
    assert NAMED[lose] in caught.value.details
    assert "labgen rebuild lab worker1" in caught.value.resolution
    assert traces(host) == before
    assert journals.load("lab").complete


def test_a_machine_that_runs_on_a_deleted_disk_is_told(host: Host) -> None:
    make()
    lose_docker_disk(host)
    with pytest.raises(HypervisorError, match="incomplete") as caught:
        start("lab", Silent())
    assert "save what you need before you stop it" in caught.value.details


@pytest.mark.parametrize("lose", [lose_root_disk, lose_docker_disk, lose_all_of_a_node, lambda _host: None])
def test_a_node_is_made_anew_on_request(host: Host, lose: Callable[[Host], None]) -> None:
    lab = make().journal.lab
    others = {node: domain(host, node).UUIDString() for node in NODES if node != "worker1"}
    known = paths.lab("lab") / paths.KNOWN_HOSTS
    known.write_text(f"{lab.node('worker1').address} ssh-ed25519 OLD\n{lab.nodes[0].address} ssh-ed25519 KEPT\n")
    lose(host)
    host.machine("worker1").engine = None
    host.machine("worker1").scripts.clear()
    assert losses("lab", "worker1")
    rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    assert len(host.domains()) == 3
    assert len(host.volumes()) == 6
    assert {node: domain(host, node).UUIDString() for node in others} == others
    assert host.machine("worker1").scripts == ["hosts", "docker-disk", "docker"]
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    assert vagrant.known_machines(paths.lab("lab"))["worker1"] == domain(host, "worker1").UUIDString()
    assert not journals.load("lab").rebuilding
    assert "OLD" not in known.read_text()
    assert "KEPT" in known.read_text()
    assert host.ups == 1
    assert not start("lab", Silent()).changed


def test_a_machine_that_was_undefined_is_defined_again_over_its_disks(host: Host) -> None:
    make()
    disks = host.volumes()
    lose_domain(host)
    assert losses("lab", "worker1") == []
    rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    assert host.volumes() == disks
    assert len(host.domains()) == 3
    assert len(host.machine("worker1").scripts) == 3  # of the first create
    assert vagrant.known_machines(paths.lab("lab"))["worker1"] == domain(host, "worker1").UUIDString()


def test_the_question_names_what_only_this_node_holds(host: Host) -> None:
    make()
    assert any(
        "(services, configs, secrets): no other manager has them" in loss for loss in losses("lab", "manager1")
    )
    assert not any("cluster" in loss for loss in losses("lab", "worker1"))
    with pytest.raises(UsageError, match="worker9"):
        losses("lab", "worker9")


def test_a_lab_without_a_cluster_loses_none(host: Host) -> None:
    create(load("three-node-btrfs", ["orchestrator=none"]), "lab", Silent())
    assert not any("cluster" in loss for loss in losses("lab", "manager1"))


def test_the_only_manager_made_anew_begins_a_new_swarm_with_the_others(host: Host) -> None:
    make()
    host.cloud.entries.clear()
    host.machine("manager1").engine = None
    rebuild("lab", "manager1", losses("lab", "manager1"), Silent())
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    assert "leave" in host.engine("worker1").calls


def test_a_rebuild_that_was_cut_off_is_resumed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    host.machine("worker1").engine = None
    host.machine("worker1").scripts.clear()
    with monkeypatch.context() as patch:
        patch.setattr("labgen.lab.rebuild.bring_up", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    start("lab", Silent())
    assert host.machine("worker1").scripts == ["hosts", "docker-disk", "docker"]
    assert not journals.load("lab").rebuilding
    with monkeypatch.context() as patch:
        patch.setattr(Hypervisor, "define", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    host.machine("worker1").scripts.clear()
    with pytest.raises(HypervisorError, match="incomplete"):
        start("lab", Silent())
    rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    assert host.machine("worker1").scripts == ["hosts", "docker-disk", "docker"]


def test_more_than_was_agreed_to_is_not_lost(host: Host) -> None:
    make()
    lose_domain(host)
    agreed = losses("lab", "worker1")
    lose_docker_disk(host)
    before = traces(host)
    with pytest.raises(UsageError, match="has changed since the question"):
        rebuild("lab", "worker1", agreed, Silent())
    assert traces(host) == before


@pytest.mark.parametrize("node", ["worker1", "manager1"])
def test_what_a_rebuild_needs_is_there_before_anything_is_removed(
    host: Host, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise BoxError("the box cannot be built")

    profile = "single-node" if node == "manager1" else "three-node-btrfs"  # one without, one with other nodes
    create(load(profile, ["storage.driver=btrfs"]), "lab", Silent(), cold=True)
    monkeypatch.setattr("labgen.lab.rebuild._image", unavailable)
    if node == "worker1":
        for half in (paths.KEY, f"{paths.KEY}.pub"):
            (paths.lab("lab") / half).unlink()
    before = traces(host)
    with pytest.raises(LabgenError):
        rebuild("lab", node, losses("lab", node), Silent())
    assert traces(host) == before
    assert not journals.load("lab").rebuilding


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_docker_that_is_off_is_started_and_not_set_up_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    answers = iter([ClusterError("worker1: asking Docker for its state failed")])
    info = type(host.engine("worker1")).info

    def first_fails(self: Any) -> Any:
        if self.name == "worker1" and (error := next(answers, None)):
            raise error
        return info(self)

    monkeypatch.setattr(type(host.engine("worker1")), "info", first_fails)
    start("lab", Silent())
    assert host.machine("worker1").scripts == ["hosts", "docker-disk", "docker"]  # of the first create


# the Swarm


def test_a_locked_swarm_is_told_and_unlocked_with_the_key(host: Host) -> None:
    make()
    entries = dict(host.cloud.entries)
    host.engine("manager1").trouble = "locked"
    host.engine("manager1").calls.clear()
    with pytest.raises(ClusterLocked, match="locked on manager1") as caught:
        start("lab", Silent())
    assert "docker swarm unlock" in caught.value.resolution
    with pytest.raises(ClusterError, match="unlocking"):
        unlock("lab", "SWMKEY-1-wrong", Silent())
    unlock("lab", "SWMKEY-1-right", Silent())
    assert not start("lab", Silent()).changed
    assert host.cloud.entries == entries
    assert host.engine("manager1").calls == ["unlock", "unlock"]


@dataclass(frozen=True)
class Trouble:
    """An unexpected state of a Swarm, and the expected message about it."""

    make: Callable[[Host], None]
    said: str
    way_out: str


def _error(host: Host) -> None:
    host.engine("worker1").trouble, host.engine("worker1").error = "error", "context deadline exceeded"


def _expired(host: Host) -> None:
    host.engine("manager1").trouble = "error"
    host.engine("manager1").error = "x509: certificate has expired or is not yet valid"


def _pending(host: Host) -> None:
    host.engine("worker1").looks_for = ("10.99.0.11",)
    host.engine("worker1").node_id = "of another Swarm"


def _only_manager_left(host: Host) -> None:
    host.engine("manager1").node_id = ""


def _foreign(host: Host) -> None:
    host.engine("worker1").node_id = "of another Swarm"


def _leaderless(host: Host) -> None:
    host.cloud.leaderless_calls = 10**6


TROUBLES = [
    Trouble(_error, "context deadline exceeded", "journalctl"),
    Trouble(_expired, "certificates are not valid on manager1", "date --set"),
    Trouble(_pending, "it looks for managers at 10.99.0.11", "journalctl"),
    Trouble(_only_manager_left, "no longer has a manager", "docker swarm init"),
    Trouble(_foreign, "worker1 is in a Swarm that manager1 does not know", "docker swarm leave --force"),
    Trouble(_leaderless, "do not agree on a leader", "--force-new-cluster"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.make.__name__)
def test_a_swarm_that_is_not_as_expected_is_explained_and_left_alone(
    host: Host, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    trouble.make(host)
    monkeypatch.setattr("labgen.orchestrators.swarm.READY_LIMIT", 0.05)
    before = dict(host.cloud.entries)
    for node in NODES:
        host.engine(node).calls.clear()
    for attempt in (make, lambda: start("lab", Silent())):
        with pytest.raises(ClusterError) as caught:
            attempt()
        assert trouble.said in f"{caught.value.brief}\n{caught.value.details}"
        assert trouble.way_out in caught.value.resolution
    assert host.cloud.entries == before
    assert all(host.engine(node).calls == [] for node in NODES)


def test_a_new_swarm_is_formed_only_after_a_yes(host: Host) -> None:
    make()
    _only_manager_left(host)
    with pytest.raises(ClusterGone):
        start("lab", Silent())
    host.cloud.entries.clear()
    assert start("lab", Silent(), new_cluster=True).changed
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)


def test_roles_and_labels_are_the_users_once_the_swarm_is_formed(host: Host) -> None:
    make()
    worker = host.engine("worker1").node_id
    host.cloud.entries[worker] = replace(host.cloud.entries[worker], role="manager", labels={})
    assert not start("lab", Silent()).changed
    assert host.cloud.entries[worker].role == "manager"


def test_a_promoted_worker_leads_on_where_the_first_manager_was_demoted(host: Host) -> None:
    make()
    for node, role in (("worker1", "manager"), ("manager1", "worker")):
        entry = host.engine(node).node_id
        host.cloud.entries[entry] = replace(host.cloud.entries[entry], role=role)
    before = dict(host.cloud.entries)
    assert not start("lab", Silent()).changed
    assert host.cloud.entries == before


# labs that have lost their journals


def test_a_lab_that_lost_its_journal_is_neither_made_anew_nor_pruned(host: Host) -> None:
    make()
    before = [host.domains(), host.volumes()]
    lose_journal(host)
    with pytest.raises(JournalLost, match="its journal is lost"):
        make()
    orphans = prune.find()
    assert orphans.rows() == []
    assert orphans.lost == ["lab"]
    assert [host.domains(), host.volumes()] == before
    heard = Heard()
    start("lab", heard)
    assert any("written again" in note for note in heard.notes)
    assert prune.find().lost == []


@pytest.mark.parametrize(
    "lose", [lose_domain, lose_docker_disk, lambda _: _edit_profile(), lambda _: _lose_profile()]
)
def test_a_journal_is_not_guessed(host: Host, lose: Callable[[Host], None]) -> None:
    make()
    lose(host)
    lose_journal(host)
    before = [host.domains(), host.volumes()]
    with pytest.raises(JournalLost, match="lost or damaged"):
        start("lab", Silent())
    assert [host.domains(), host.volumes()] == before
    assert not journals.exists("lab")


def _edit_profile() -> None:
    file = paths.lab("lab") / paths.PROFILE
    file.write_text(file.read_text().replace("worker", "helper"))


def _lose_profile() -> None:
    (paths.lab("lab") / paths.PROFILE).unlink()


def test_a_damaged_journal_is_kept_beside_the_new_one(host: Host) -> None:
    make()
    damage_journal(host)
    start("lab", Silent())
    assert (paths.lab("lab") / "lab.json.damaged").read_text() == '{"schema": 1'


def test_a_damaged_registry_does_not_give_a_labs_subnet_away(host: Host) -> None:
    first = make("lab").journal.lab
    damage_registry(host)
    second = make("second").journal.lab
    assert registry.load().subnets == {"lab": first.network.subnet, "second": second.network.subnet}


# destroy, and machines that cannot be resumed


def test_destroy_finds_machines_of_which_nothing_else_is_left(host: Host) -> None:
    make()
    shutil.rmtree(paths.lab("lab"))
    paths.registry().unlink()
    destroy("lab", Silent())
    assert traces(host) == NOTHING


def test_destroy_says_what_is_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make().journal.lab
    with monkeypatch.context() as patch:
        patch.setattr(Hypervisor, "remove_domain", lambda _self, _name: None)
        with pytest.raises(HypervisorError, match="is not fully removed") as caught:
            destroy("lab", Silent())
    assert lab.nodes[0].domain in caught.value.details
    assert journals.exists("lab")
    destroy("lab", Silent())
    assert traces(host) == NOTHING


def test_destroy_finds_a_machine_that_was_renamed(host: Host) -> None:
    make()
    domain(host, "worker1").destroy()
    xml = domain(host, "worker1").XMLDesc()
    name = domain(host, "worker1").name()
    domain(host, "worker1").undefine()
    host.libvirt.defineXML(xml.replace(name, "mine").replace("<uuid>", "<!--").replace("</uuid>", "-->"))
    with pytest.raises(HypervisorError) as caught:
        destroy("lab", Silent())
    assert "machine mine" in caught.value.details


def test_one_that_cannot_be_woken_does_not_keep_the_others_asleep(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make().journal.lab
    suspend("lab", Silent())
    switch_on = Hypervisor.start

    def refuse(self: Hypervisor, name: str) -> None:
        if name == lab.nodes[0].domain:
            raise HypervisorError("starting failed", "no memory")
        switch_on(self, name)

    monkeypatch.setattr(Hypervisor, "start", refuse)
    with pytest.raises(HypervisorError, match="manager1 cannot be resumed"):
        start("lab", Silent())
    assert [status.status("lab").states[node] for node in NODES] == ["suspended", "running", "running"]


def test_rollback_ends_vagrant_before_it_removes_anything(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vagrant still creates machines when the first one that answers cannot be prepared."""
    seen: list[bool] = []

    def slow_up(directory: Path, log: Path, cancelled: Any) -> None:
        host.up(directory, log, cancelled)
        seen.append(cancelled.wait(30))

    monkeypatch.setattr(vagrant, "up", slow_up)
    host.failing_script = "docker.sh"
    with pytest.raises(LabgenError):
        make(rollback=True)
    assert seen == [True]
    assert traces(host) == NOTHING


def test_a_repair_that_fails_leaves_the_journal_complete(host: Host) -> None:
    make()
    host.unreachable = "worker2"
    with pytest.raises(LabgenError):
        start("lab", Silent())
    assert json.loads((paths.lab("lab") / paths.STATE).read_text())["stage"] == "verified"


@pytest.mark.parametrize("stage", ["planned", "verified"])
def test_a_lab_whose_profile_is_gone_is_not_taken_for_another(host: Host, run: Run, stage: str) -> None:
    made = make().journal
    (paths.lab("lab") / paths.PROFILE).unlink()
    journals.save(replace(made, stage=stage))
    refused = run("create", "single-node", "--name", "lab")
    assert refused.status == 2
    assert "created from a different profile" in refused.stderr
    assert journals.load("lab").lab == made.lab


def test_a_suspend_that_fails_wakes_all_machines(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make().journal.lab

    def fail(self: Hypervisor, *_: object) -> None:
        raise HypervisorError("it is still busy")

    monkeypatch.setattr(Hypervisor, "suspend", fail)
    monkeypatch.setattr(Hypervisor, "wait_until_idle", fail)
    with pytest.raises(HypervisorError):
        suspend("lab", Silent())
    with LOCAL.connect() as hypervisor:
        assert {domain.state for domain in hypervisor.domains(lab.prefix)} == {"running"}


def test_a_rebuild_says_what_the_cluster_loses_by_its_own_roles(host: Host) -> None:
    """A user has promoted a worker, and demoted the manager in the plan."""
    make()
    for node, role in (("worker1", "manager"), ("manager1", "worker")):
        entry = host.engine(node).node_id
        host.cloud.entries[entry] = replace(host.cloud.entries[entry], role=role)
    assert any("no other manager has them" in loss for loss in losses("lab", "worker1"))
    assert not any("cluster" in loss for loss in losses("lab", "manager1"))


def test_a_rebuild_counts_the_managers_that_are_left(host: Host) -> None:
    journal = create(load("five-node-ha", ("storage.driver=btrfs",)), "lab", Silent(), cold=True).journal
    assert not any("cluster" in loss for loss in losses("lab", "manager3"))
    journals.save(replace(journal, rebuilding=frozenset({"manager1"})))
    assert any("1 of 3 managers are not a majority" in loss for loss in losses("lab", "manager3"))
    journals.save(replace(journal, rebuilding=frozenset({"manager1", "manager2"})))
    assert any("no other manager has them" in loss for loss in losses("lab", "manager3"))
