import ast
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labgen import paths, turns, vagrant
from labgen.errors import LabgenError, UsageError
from labgen.model import NodeFacts
from labgen.records import checkpoints, data_home, journals, registry, templates
from labgen.records.checkpoints import Checkpoint
from labgen.records.journals import Journal, Request
from labgen.records.registry import Registry
from labgen.records.templates import Template
from labgen.ssh import know_hosts
from tests.unit.labs import planned


def test_a_journal_is_read_back_as_it_was_written() -> None:
    facts = {"worker1": NodeFacts("btrfs", "btrfs", "26.1.5", "6.12")}
    journal = Journal(planned(), "clustered", "no luck", facts, request=Request("/a/b.yaml", ("x=1",), cold=True))
    journals.save(journal)
    assert journals.load("lab") == journal
    assert journals.names() == ["lab"]


def test_a_journal_of_a_labgen_that_noted_no_request_is_read() -> None:
    journals.save(Journal(planned(), "rendered"))
    path = paths.lab("lab") / paths.STATE
    content = json.loads(path.read_text())
    del content["request"]
    path.write_text(json.dumps(content))
    assert journals.load("lab").again == "labgen start lab"


def test_a_journal_without_its_stage_is_lost_and_not_one_of_a_lab_to_be_made() -> None:
    journals.save(Journal(planned(), "verified"))
    path = paths.lab("lab") / paths.STATE
    content = json.loads(path.read_text())
    del content["stage"]
    path.write_text(json.dumps(content))
    with pytest.raises(journals.JournalLost) as caught:
        journals.load("lab")
    assert "it lacks stage" in caught.value.details


def test_a_registry_without_its_subnets_is_made_again_of_the_journals() -> None:
    journals.save(Journal(planned(), "verified"))
    registry.save(Registry().with_lab("lab", "10.77.0.0/24"))
    paths.registry().write_text("{}")
    assert registry.load().subnets == {"lab": "10.77.0.0/24"}


def test_reaching_a_stage_forgets_the_failure() -> None:
    journal = Journal(planned(), failure="no luck").reached("verified")
    assert journal.complete
    assert not journal.failure


def test_an_unknown_lab_is_told_with_the_near_ones() -> None:
    journals.save(Journal(planned("three-node")))
    with pytest.raises(UsageError) as caught:
        journals.load("tree-node")
    assert "three-node" in caught.value.details


@pytest.mark.parametrize("name", ["..", "../labs/lab", ".", "", "/"])
def test_a_name_that_leads_elsewhere_is_no_lab(name: str) -> None:
    journals.save(Journal(planned("lab")))
    with pytest.raises(UsageError):
        journals.load(name)


@pytest.mark.parametrize("name", ["../x", "../../x", "/tmp/x", "a/b", "\0"])
def test_no_lock_lies_elsewhere(name: str, home: Path) -> None:
    with pytest.raises(UsageError), journals.locked(name):
        pass
    assert not home.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 1}', "null", '{"schema": "x"}', "\x00"])
def test_a_damaged_journal_is_explained(content: str) -> None:
    journals.save(Journal(planned("lab")))
    (paths.lab("lab") / paths.STATE).write_text(content)
    with pytest.raises(LabgenError) as caught:
        journals.load("lab")
    assert "labgen destroy lab" in caught.value.resolution


def test_a_journal_from_the_future_is_refused() -> None:
    journals.save(Journal(planned("lab")))
    path = paths.lab("lab") / paths.STATE
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(LabgenError, match="newer"):
        journals.load("lab")


def test_a_write_that_fails_keeps_the_old_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    journals.save(Journal(planned("lab"), "booted"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        journals.save(Journal(planned("lab"), "verified"))
    assert journals.load("lab").stage == "booted"
    assert [path.name for path in paths.lab("lab").iterdir()] == [paths.STATE]


HOLD = (
    "from labgen.records import journals\nwith journals.locked('lab'):\n    print('held', flush=True)\n    input()\n"
)


def test_the_lock_keeps_others_out_and_ends_with_its_process(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert journals.is_locked("lab")
        with pytest.raises(LabgenError, match="another labgen"), journals.locked("lab"):
            pass
        holder.kill()
    assert not journals.is_locked("lab")
    with journals.locked("lab"):
        pass


def test_the_registry_is_kept() -> None:
    assert registry.load() == Registry()
    registry.save(Registry().with_lab("b", "10.77.1.0/24").with_lab("a", "10.77.0.0/24"))
    assert registry.load().subnets == {"a": "10.77.0.0/24", "b": "10.77.1.0/24"}
    registry.save(registry.load().without_lab("a").without_lab("never-was"))
    assert registry.load().subnets == {"b": "10.77.1.0/24"}


LOOK = (
    "import time\nfrom labgen.records import journals\nprint('looking', flush=True)\n"
    "end = time.monotonic() + 30\nwhile time.monotonic() < end:\n    assert not journals.is_locked('quiet')\n"
    "    journals.is_locked('lab')\n"
)


def test_who_only_looks_is_in_nobodys_way(home: Path) -> None:
    with journals.locked("lab"), journals.locked("quiet"):
        pass
    with contextlib.ExitStack() as readers:
        for _ in range(2):
            reader = subprocess.Popen([sys.executable, "-c", LOOK], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            readers.enter_context(reader)
            readers.callback(reader.kill)
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"looking\n"
        for _ in range(500):
            with journals.locked("lab"):
                pass
        # Two that check a lock nobody holds do not take each other for its holder.
        assert reader.poll() is None


def test_who_is_busy_with_the_lab_is_named(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(journals.BusyError) as caught, journals.locked("lab"):
            pass
        holder.kill()
    assert f"held by process {holder.pid}: " in caught.value.details
    assert "journals.locked" in caught.value.details


def test_a_registry_that_somebody_holds_is_not_waited_for_without_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LIMIT", 0.1)
    program = HOLD.replace("journals", "registry").replace("'lab'", "")
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LabgenError, match=r"registry\.lock is locked") as caught, registry.locked():
            pass
        holder.kill()
    assert str(holder.pid) in caught.value.details


def test_the_holders_command_is_told_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lock"
    file.touch()
    process = tmp_path / "4711"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to(file)
    (process / "cmdline").write_bytes(b"/usr/bin/python3\0/opt/venv/bin/labgen\0export\0lab\0")
    inode = file.stat().st_ino
    (tmp_path / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 1 fe:00:{inode} 0 EOF\n"
        f"2: FLOCK  ADVISORY  READ 2 fe:00:{inode} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 4711 fe:00:{inode} 0 EOF\n"
        f"3: -> FLOCK  ADVISORY  WRITE 5 fe:00:{inode} 0 EOF\n"
    )
    monkeypatch.setattr(turns, "_KERNELS_LOCKS", tmp_path / "locks")
    monkeypatch.setattr(turns, "_PROCESSES", tmp_path)
    assert turns.holder(file) == "held by process 4711: labgen export lab"
    (process / "fd" / "3").unlink()
    assert turns.holder(file) == ""


WRITES: dict[str, Callable[[], object]] = {
    "journal": lambda: journals.save(Journal(planned("lab"))),
    "registry": lambda: registry.save(Registry()),
    "id": data_home.owner,
    "checkpoint": lambda: checkpoints.save("lab", Checkpoint("one", "2026", (), "saving")),
    "template": lambda: templates.save(
        Template("key", "me", "2026", ("debian13", "1"), ("base.img", "x"), "pc", {}, 1)
    ),
    "host keys": lambda: know_hosts(paths.lab("lab") / paths.KNOWN_HOSTS, {"10.77.0.11": ""}),
    "Vagrant's record": lambda: vagrant.know_machine(paths.lab("lab"), "manager1", "uuid"),
    "Vagrant's index": lambda: vagrant.forget(paths.lab("lab")),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_record_is_on_the_disk_before_it_has_its_name_and_so_is_the_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]
) -> None:
    for directory in (paths.lab("lab"), paths.checkpoints("lab"), paths.template("key")):
        directory.mkdir(parents=True)
    index = paths.vagrant_home() / vagrant.INDEX
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps({"version": 1, "machines": {"a": {"vagrantfile_path": str(paths.lab("lab"))}}}))
    done: list[tuple[str, Path]] = []
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(("directory" if path.is_dir() else f"{path.stat().st_size} bytes", path))
        fsync(descriptor)

    def named(how: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def call(source: Path, target: Path) -> None:
            done.append((str(source), Path(target)))
            how(source, target)

        return call

    monkeypatch.setattr(os, "fsync", synced)
    for how in ("replace", "rename", "link"):
        monkeypatch.setattr(os, how, named(getattr(os, how)))
    write()
    assert done
    assert len(done) % 3 == 0
    for file, name, directory in zip(done[::3], done[1::3], done[2::3], strict=True):
        path = name[1]
        assert name[0] == str(file[1])
        assert file[0] == f"{path.stat().st_size} bytes"  # all of them
        assert directory == ("directory", path.parent)


# Other code that writes files, which are not records: after a power cut each is rebuilt, or of no use.
OTHER_WRITERS = {
    "boxes/builder._pack_box",
    "boxes/builder._pack_files",
    "mmdebstrap.run",  # a log
    "cli/report._write",  # a device
    "report/browser.printed",  # a temporary file
    "bundle/signature.sign",
    "bundle/signature.verify",
    "files._written_beside",
    "hypervisor/pool.download",
    "images/builder._pack_layer",
    "machines/balancing._archive",  # into memory
    "machines/outgoing.memory_parts",
    "machines/provision.provision",  # a log
    "ssh/batch._archive",  # into memory
    "services/bringing._saved",  # a temporary file
    "stacks/parcel._written",  # into memory, or a temporary file
    "vagrant._logged",
    "vagrant.up",  # a log
}


def writes_a_file(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if name != "open":
        return name in {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile"}
    given = [
        each.value for each in (*call.args, *(each.value for each in call.keywords)) if isinstance(each, ast.Constant)
    ]
    return any(isinstance(each, str) and re.fullmatch("[rwaxbt+]*[wax+][rwaxbt+]*", each) for each in given)


def test_records_are_written_in_one_way() -> None:
    package = Path(__file__).parents[2] / "labgen"
    found = set()
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
                if any(map(writes_a_file, calls)):
                    found.add(f"{path.relative_to(package).with_suffix('')}.{function.name}")
    assert found == OTHER_WRITERS
