"""``prune --everything`` on libvirt's test driver: everything of labgen's is removed, and nothing of other users."""

import inspect
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labgen import boxes, paths, turns, vagrant, vagrant_store
from labgen.boxes.store import FIELDS
from labgen.cli import console
from labgen.errors import HypervisorError, LabgenError, UsageError
from labgen.host import LOCAL
from labgen.host.local import LocalHost
from labgen.hypervisor import Hypervisor, Pool
from labgen.lab import uninstall
from labgen.machines import homes
from labgen.model import Libvirt
from labgen.progress import Silent
from labgen.records import journals, registry, templates
from tests.unit.commands import Run, run
from tests.unit.host import VOLUME, Host, host
from tests.unit.test_lab import make

__all__ = ["host", "run"]  # fixtures

BOX = "labgen-VAGRANTSLASH-debian13_vagrant_box_image_13.1.1_box.img"
RECEIVED = f"labgen-base_{'0' * 64}.img"
FOREIGN = "labgen-abcdef_theirs_manager1.img"


def add_disk(host: Host, name: str, base: str) -> None:
    path = host.libvirt.storagePoolLookupByName("labgen").storageVolLookupByName(base).path()
    xml = VOLUME.format(name=name).replace("</volume>", f"<backingStore><path>{path}</path></backingStore></volume>")
    host.libvirt.storagePoolLookupByName("labgen").createXML(xml)


def pools(host: Host) -> set[str]:
    return {pool.name() for pool in host.libvirt.listAllStoragePools()} - {"default-pool"}


@pytest.fixture
def lived_in(host: Host, home: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which labgen has created everything that it ever creates."""
    with LOCAL.connect() as hypervisor:
        hypervisor.pool.ensure()
    for volume in ("base.img", BOX, RECEIVED):
        host.add_volume(volume)
    make("first", cold=False)
    make("second")
    host.libvirt.storagePoolLookupByName("labgen").storageVolLookupByName("base.img").delete()  # of the fake backings
    built = paths.boxes() / "debian13" / "13.1.1"
    built.mkdir(parents=True)
    for file in ("box.img", "vmlinuz"):
        (built / file).write_text("")
    (built / "lock.json").write_text(json.dumps(dict.fromkeys(FIELDS, "")))
    monkeypatch.setattr(boxes, "find", lambda _name: next(iter(boxes.built("debian13")), None))
    paths.accelerator().write_text("{}")
    (paths.data_home() / ".registry.json.x7").write_text("")  # left by a killed labgen process
    (paths.trial("x7") / paths.LOGS).mkdir(parents=True)
    paths.base_lock("0").write_text("")
    paths.vagrant_lock().write_text("")
    vagrant.environment()
    add_to_store(home)
    return host


def add_to_store(home: Path) -> None:
    """As Vagrant 2.3.4 leaves its store."""
    store = paths.vagrant_home()
    lost = str(paths.lab("lost"))
    index = {"version": 1, "machines": {"a": {"vagrantfile_path": lost, "name": "manager1"}}}
    for name, text in {
        "boxes/labgen-VAGRANTSLASH-debian13/13.1.1/libvirt/metadata.json": "{}",
        "boxes/labgen-VAGRANTSLASH-debian13/metadata_url": "",
        "data/machine-index/index": json.dumps(index),
        "data/machine-index/index.lock": "",
        "data/lock.dotlock.lock": "",
        "insecure_private_key": "",
        "rgloader/loader.rb": "",
        "setup_version": "1.5",
    }.items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text(text)
    (store / "gems" / "3.1.2").mkdir(parents=True)


def test_nothing_is_left(lived_in: Host, home: Path, run: Run) -> None:
    done = run("prune", "--everything", "--yes")
    assert done.status == 0, done.stderr
    assert (lived_in.domains(), lived_in.networks(), pools(lived_in)) == (set(), set(), set())
    assert not home.exists()
    assert "make uninstall" in done.stderr
    again = run("prune", "--everything", "--yes")
    assert (again.status, again.stdout) == (0, "")
    assert "nothing to uninstall" in again.stderr
    assert not home.exists()
    assert pools(lived_in) == set()


def test_a_dry_run_names_what_the_real_one_removes(lived_in: Host, home: Path, run: Run) -> None:
    before = sorted(home.rglob("*"))
    looked = run("prune", "--everything", "--dry-run", "--format", "json")
    assert looked.status == 0
    rows = {(row["kind"], row["name"]) for row in json.loads(looked.stdout)}
    assert rows == {
        ("lab", "first"),
        ("lab", "second"),
        ("template", templates.keys()[0]),
        ("box", "debian13 13.1.1"),
        ("box in Vagrant's store", "labgen/debian13"),
        ("entry in Vagrant's machine index", str(home / "data" / "labs" / "lost")),
        ("volume", BOX),
        ("volume", RECEIVED),
        ("storage pool", "labgen"),
        ("directory", str(home / "cache")),
        ("directory", str(home / "data")),
        ("directory", str(home / "vagrant")),
    }
    assert sorted(home.rglob("*")) == before
    assert journals.names() == ["first", "second"]


def test_the_question_names_the_labs(lived_in: Host, home: Path, run: Run) -> None:
    asked = run("prune", "--everything")
    assert asked.status == 2
    assert "Destroy first, second with everything in them" in asked.stderr
    assert "--yes" in asked.stderr
    assert journals.names() == ["first", "second"]


@pytest.mark.parametrize(("answer", "status", "left"), [("n", 130, ["first", "second"]), ("y", 0, [])])
def test_an_answer_counts(
    lived_in: Host, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, left: list[str]
) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    assert run("prune", "--everything").status == status
    assert journals.names() == left


def test_what_others_own_stays_and_is_named(lived_in: Host, home: Path, run: Run) -> None:
    add_disk(lived_in, FOREIGN, BOX)
    network = lived_in.libvirt.networkDefineXML(
        "<network><name>labgen-abcdef_theirs</name><ip address='10.9.9.1' prefix='24'/></network>"
    )
    strange = [paths.data_home() / "notes", paths.labs() / "Not a lab", paths.locks() / "notes"]
    strange += [paths.cache_home() / "film.mkv", paths.cache_home() / "registry.json"]
    for path in strange:
        path.mkdir() if path.name == "Not a lab" else path.write_text("mine")
    done = run("prune", "--everything", "--yes")
    assert done.status == 0, done.stderr
    assert lived_in.volumes() == {FOREIGN, BOX}
    assert lived_in.networks() == {network.name()}
    assert lived_in.domains() == set()
    assert sorted(
        path for path in home.rglob("*") if path not in (*strange[0].parents, *strange[3].parents)
    ) == sorted([*strange, paths.labs(), paths.locks()])
    for name in (FOREIGN, BOX, *map(str, strange)):
        assert name in done.stderr
    assert "nothing to uninstall" in run("prune", "--everything", "--yes").stderr


def test_a_box_that_others_templates_may_lie_on_stays(lived_in: Host, run: Run) -> None:
    memory = "labgen-abcdef.template-0123.manager1.memory"
    lived_in.add_volume(memory)
    done = run("prune", "--everything", "--yes")
    assert done.status == 0, done.stderr
    assert lived_in.volumes() == {BOX, memory}
    assert BOX in done.stderr


@pytest.mark.parametrize(
    "command", [["prune", "--everything"], ["prune"], ["destroy", "backup"], ["destroy", "--all"]]
)
def test_what_a_link_leads_to_is_no_lab(lived_in: Host, run: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "thesis").write_text("mine")
    (paths.labs() / "backup").symlink_to(tmp_path / "nas")
    done = run(*command, "--yes")
    assert done.status == 0, done.stderr
    assert not (paths.labs() / "backup").is_symlink()
    assert (tmp_path / "nas" / "thesis").read_text() == "mine"


@pytest.mark.parametrize("file", ["boxes/mine/0/libvirt/box.img", "Vagrantfile", "gems/3.1.2/gems/x/x.rb"])
def test_a_store_that_is_not_labgens_alone_stays(lived_in: Host, run: Run, file: str) -> None:
    (paths.vagrant_home() / file).parent.mkdir(parents=True, exist_ok=True)
    (paths.vagrant_home() / file).write_text("")
    assert f"{paths.vagrant_home()} is kept" in run("prune", "--everything", "--yes").stderr
    assert (paths.vagrant_home() / file).exists()
    assert vagrant_store.boxes() == vagrant_store.records() == []
    assert (paths.vagrant_home() / "setup_version").exists()


@pytest.mark.parametrize("index", ["{", '{"machines": {"b": {"vagrantfile_path": "/elsewhere"}}}'])
def test_a_store_whose_index_names_others_machines_stays(lived_in: Host, run: Run, index: str) -> None:
    file = paths.vagrant_home() / "data" / "machine-index" / "index"
    file.write_text(index)
    assert run("prune", "--everything", "--yes").status == 0
    assert json.loads(file.read_text() + "}" * (index == "{")) == json.loads(index + "}" * (index == "{"))
    assert vagrant_store.boxes() == []


@pytest.mark.parametrize("lock", [lambda: paths.lab_lock("other"), paths.registry_lock, paths.build_lock])
def test_another_labgen_at_work_is_named(lived_in: Host, run: Run, lock: Callable[[], Path]) -> None:
    with turns.lock(lock()):
        refused = run("prune", "--everything", "--yes")
    assert refused.status == 1
    assert "another labgen process is running" in refused.stderr
    assert f"{lock()} is held by process" in refused.stderr
    assert journals.names() == ["first", "second"]
    assert run("prune", "--everything", "--yes").status == 0


def test_a_lab_that_nobody_was_asked_about_is_not_destroyed(lived_in: Host) -> None:
    found = uninstall.find()
    make("third")
    with pytest.raises(UsageError, match="not in the question") as caught:
        uninstall.remove(found, Silent())
    assert caught.value.details == "third"
    assert journals.names() == ["first", "second", "third"]


STEPS = [
    (Hypervisor, "remove_domain"),
    (boxes, "remove"),
    (Pool, "remove"),
    (Pool, "dissolve"),
    (vagrant, "remove_box"),
    (homes, "remove"),
    (shutil, "rmtree"),
]


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
def test_cut_off_anywhere_the_same_command_goes_on(
    lived_in: Host, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, interrupt)
        assert run("prune", "--everything", "--yes").status == 130
    assert run("prune", "--everything", "--yes").status == 0
    assert not home.exists()
    assert (lived_in.domains(), lived_in.networks(), pools(lived_in)) == (set(), set(), set())


def test_a_lab_that_libvirt_keeps_ends_it(lived_in: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Hypervisor, "remove_domain", lambda _self, _name: None)
        with pytest.raises(HypervisorError, match="is not fully removed"):
            uninstall.remove(uninstall.find(), Silent())
    assert journals.names() == ["first", "second"]
    assert paths.boxes().exists()


def test_what_is_left_is_said(lived_in: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vagrant, "remove_box", lambda _name: None)
    monkeypatch.setattr(vagrant_store, "is_bare", lambda: False)
    with pytest.raises(LabgenError, match="not everything could be removed") as caught:
        uninstall.remove(uninstall.find(), Silent())
    assert caught.value.details == "box in Vagrant's store labgen/debian13"


def test_what_doctor_left_goes_too(lived_in: Host) -> None:
    lived_in.add_volume(paths.PROBE)
    lived_in.libvirt.networkDefineXML(f"<network><name>{paths.PROBE}</name></network>")
    assert {"kind": "network", "name": paths.PROBE} in uninstall.find().rows()
    uninstall.remove(uninstall.find(), Silent())
    assert (lived_in.networks(), pools(lived_in)) == (set(), set())


def test_machines_of_which_nothing_else_is_left_are_a_lab(lived_in: Host, home: Path) -> None:
    shutil.rmtree(paths.labs())
    paths.registry().unlink()
    assert uninstall.find().labs == ["first", "second"]
    uninstall.remove(uninstall.find(), Silent())
    assert (lived_in.domains(), pools(lived_in), home.exists()) == (set(), set(), False)


def test_without_a_lab_or_a_pool_libvirt_is_not_asked(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalHost, "libvirt", Libvirt("test:///nowhere.xml", "labgen", home / "pool"))
    paths.accelerator().parent.mkdir(parents=True)
    paths.accelerator().write_text("{}")
    assert run("prune", "--everything", "--yes").status == 0
    assert not home.exists()
    paths.lab("lab").mkdir(parents=True)
    assert run("prune", "--everything", "--yes").status == 20


def test_no_name_on_the_host_is_forgotten(home: Path) -> None:
    """Each path below the homes in labgen.paths is removed, or is in a directory that is removed."""
    named = [
        function(*["x"] * len(inspect.signature(function).parameters))
        for name, function in inspect.getmembers(paths, inspect.isfunction)
        if not name.startswith("_")
    ]
    below = [path for path in named if isinstance(path, Path) and path.is_relative_to(home)]
    assert paths.accelerator() in below
    for path in below:
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        else:
            path.mkdir(parents=True, exist_ok=True)
    assert registry.load().subnets == {}
    shutil.rmtree(paths.labs() / "x")  # destroyed
    vagrant_store.clear()
    homes.remove()
    assert not home.exists()
