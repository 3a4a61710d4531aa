"""The data home's id: its labs belong to it whatever path it is reached by, and those of a copy do not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labgen import paths, vagrant
from labgen.errors import HostError, HypervisorError
from labgen.lab import prune, status, uninstall
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.stop import stop
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import data_home, journals, templates
from labgen.records.journals import Journal
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.labs import planned

__all__ = ["host", "run"]  # fixtures


def make(name: str = "lab") -> None:
    create(load("single-node", ("storage.driver=btrfs",)), name, Silent(), cold=True)


def as_made_by_0_1_0(name: str, owner: str) -> None:
    """A lab's journal in a home that keeps no id."""
    journals.save(Journal(planned(name), "verified"))
    journal = paths.lab(name) / paths.STATE
    journal.write_text(journal.read_text().replace(data_home.owner(), owner))
    paths.identity().unlink()


def test_an_id_is_random_and_stays() -> None:
    chosen = data_home.owner()
    assert chosen != data_home.owner_of_path()
    assert data_home.owner() == data_home.known_owner() == chosen
    shutil.rmtree(paths.data_home())
    assert data_home.owner() != chosen


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["status", "lab"],
        ["profile", "list"],
        ["create", "single-node", "--dry-run"],
        ["destroy", "lab", "--yes"],
        ["prune", "--dry-run"],
        ["checkpoint", "list", "lab"],
        ["ssh-config", "lab"],
        ["exec", "lab", "--", "true"],
    ],
    ids=" ".join,
)
def test_who_only_looks_makes_no_data_home(host: Host, run: Run, command: list[str]) -> None:
    assert run(*command).status in {0, 2}
    assert not paths.data_home().exists()


CHOOSE = "from labgen.records import data_home\nprint('ready', flush=True)\ninput()\nprint(data_home.owner())\n"


def test_first_commands_that_run_at_once_agree() -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", CHOOSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    chosen = {process.communicate()[0] for process in running}
    assert chosen == {f"{data_home.owner()}\n"}
    assert [path.name for path in paths.data_home().iterdir()] == [paths.identity().name]


def test_a_home_of_0_1_0_keeps_the_id_of_its_labs() -> None:
    as_made_by_0_1_0("lab", "labgen-0a1b2c")
    assert data_home.known_owner() == "labgen-0a1b2c"
    assert not paths.identity().exists()
    assert data_home.owner() == "labgen-0a1b2c"
    shutil.rmtree(paths.labs())
    assert data_home.owner() == "labgen-0a1b2c"


@pytest.mark.parametrize(
    "content", ["", "[]", "\0", "[" * 100000, '{"lab": {"prefix": 7}}', '{"lab": {"prefix": ""}}']
)
def test_a_home_whose_journals_do_not_say_it_keeps_the_id_of_0_1_0(content: str) -> None:
    (paths.lab("lab")).mkdir(parents=True)
    (paths.lab("lab") / paths.STATE).write_text(content)
    assert data_home.owner() == data_home.owner_of_path()


def test_templates_of_0_1_0_are_found_again() -> None:
    paths.template("key").mkdir(parents=True)
    assert templates.memory_volume("key", "worker1") == f"{data_home.owner_of_path()}.template-key.worker1.memory"


def test_templates_whose_homes_id_is_lost_say_it_themselves(host: Host) -> None:
    create(load("single-node", ("storage.driver=btrfs",)), "lab", Silent())
    destroy("lab", Silent())
    before, kept = data_home.owner(), host.volumes()
    assert any(templates.MEMORY in volume for volume in kept)
    paths.identity().unlink()
    assert data_home.known_owner() == data_home.owner() == before
    assert len(prune.find(cache=True).templates) == 1


@pytest.mark.parametrize("variable", ["LABGEN_HOME", "HOME"])
def test_a_lab_is_the_same_by_another_path(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("LABGEN_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    monkeypatch.setenv(variable, str(link))
    make("first")
    at_first = paths.data_home()
    monkeypatch.setenv(variable, str(real))
    assert status.status("first").state == "running"
    make("second")
    assert stop("first", Silent())
    monkeypatch.setenv(variable, str(link))
    assert paths.data_home() == at_first
    assert prune.find().rows() == []
    for name in ("first", "second"):
        destroy(name, Silent())
    assert host.domains() == host.networks() == host.volumes() == set()


def test_machines_that_0_1_0_made_by_another_path_are_destroyed(
    host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One home, whose labs have two ids: 0.1.0 reported such a lab as destroyed, and its machine still ran."""
    for owner, names in {"labgen-0a1b2c": ["first"], "labgen-3d4e5f": ["second", "third"]}.items():
        with monkeypatch.context() as at_that_time:
            at_that_time.setattr(data_home, "owner", lambda owner=owner: owner)
            for name in names:
                make(name)
    assert data_home.owner() == "labgen-3d4e5f"
    assert not [line for line in uninstall.find().stays if "labgen-0a1b2c" in line]
    destroy("first", Silent())
    assert {name.partition("_")[0] for name in host.domains()} == {"labgen-3d4e5f"}


def test_a_journal_of_another_home_does_not_give_its_machines_away(
    host: Host, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    before = host.domains()
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "other"))
    data_home.owner()
    shutil.copytree(home / "data" / "labs", paths.labs())
    with pytest.raises(HypervisorError, match="may belong to another one") as caught:
        destroy("lab", Silent())
    assert caught.value.details.splitlines()[0] in before
    assert host.domains() == before
    assert journals.names() == ["lab"]


def test_a_copy_of_a_home_of_0_1_0_leaves_the_machines_of_the_original_alone(
    host: Host, run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as at_that_time:
        at_that_time.setattr(data_home, "owner", data_home.owner_of_path)
        make()
    paths.identity().unlink(missing_ok=True)
    for node in journals.load("lab").lab.nodes:
        record = paths.lab("lab") / ".vagrant" / "machines" / node.name / "libvirt" / "vagrant_cwd"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(str(paths.lab("lab")))
    before = host.domains()
    copied(home, tmp_path, monkeypatch)
    for command in (["destroy", "lab", "--yes"], ["prune", "--yes"], ["stop", "lab"]):
        refused = run(*command)
        assert refused.status == 20, refused.stderr
        assert f"{home}/data/labs/lab still exists" in refused.stderr
    assert host.domains() == before
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "link"))
    destroy("lab", Silent())
    assert host.domains() == set()


def test_vagrants_index_is_read_by_what_its_paths_lead_to(home: Path, tmp_path: Path) -> None:
    (home / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    index = paths.vagrant_home() / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    other = {"vagrantfile_path": "/somebody/else"}
    ours = {"vagrantfile_path": str(tmp_path / "link" / "data" / "labs" / "lab")}
    index.write_text(json.dumps({"version": 1, "machines": {"a": ours, "b": other}}))
    vagrant.forget(paths.lab("lab"))
    assert json.loads(index.read_text()) == {"version": 1, "machines": {"b": other}}


def copied(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(home, tmp_path / "copy", symlinks=True)
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "copy"))
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "command",
    [
        ["prune", "--yes"],
        ["destroy", "lab", "--yes"],
        ["destroy", "since", "--yes"],
        ["stop", "lab"],
        ["start", "lab"],
        ["suspend", "lab"],
        ["checkpoint", "save", "lab"],
        ["rebuild", "lab", "manager1", "--yes"],
        ["create", "single-node", "--name", "other"],
    ],
    ids=" ".join,
)
def test_a_copy_leaves_the_machines_of_the_original_alone(
    host: Host, run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    make()
    copied(home, tmp_path, monkeypatch)
    monkeypatch.setenv("LABGEN_HOME", str(home))
    make("since")  # which the copy does not have
    before = (host.domains(), host.volumes(), host.networks())
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "copy"))
    refused = run(*command)
    assert refused.status == 20, refused.stderr
    assert "is a copy, or has been moved" in refused.stderr
    assert f"{home}/data still exists and has the same id" in refused.stderr
    assert (host.domains(), host.volumes(), host.networks()) == before
    assert set(status.status("lab").states.values()) == {"running"}


def test_the_two_ways_out_of_a_copy(
    host: Host, run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    copied(home, tmp_path, monkeypatch)
    mine, afresh = run("prune").stderr.splitlines()[-2:]
    subprocess.run(["sh", "-c", mine.partition(": ")[2]], check=True)
    make("since")  # now it has the machines
    monkeypatch.setenv("LABGEN_HOME", str(home))
    assert prune.find(cache=True).rows() == []
    make("other")
    assert data_home.owner() == journals.load("other").lab.prefix.partition("_")[0]
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "copy"))
    assert prune.find(cache=True).rows() == []
    destroy("lab", Silent())
    destroy("since", Silent())
    monkeypatch.setenv("LABGEN_HOME", str(home))
    assert host.domains() == {journals.load("other").lab.nodes[0].domain}
    shutil.rmtree(tmp_path / "copy")
    copied(home, tmp_path, monkeypatch)
    subprocess.run(["sh", "-c", afresh.partition(": ")[2]], check=True)
    assert journals.names() == prune.find().domains == []
    make("other")
    assert {name.rpartition("_")[0].partition("_")[2] for name in host.domains()} == {"other"}
    assert len(host.domains()) == 2


def test_a_home_that_was_moved_is_the_same(
    host: Host, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    home.rename(tmp_path / "moved")
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "moved"))
    assert prune.find().rows() == []
    assert stop("lab", Silent())
    # From now on this is its place: a later duplicate of it is the copy.
    shutil.copytree(tmp_path / "moved", home)
    assert data_home.known_owner()
    monkeypatch.setenv("LABGEN_HOME", str(home))
    with pytest.raises(HostError, match="is a copy"):
        destroy("lab", Silent())


def test_a_new_home_where_a_moved_one_was_has_another_id(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = data_home.owner()
    home.rename(tmp_path / "moved")
    assert data_home.owner() != moved
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "moved"))
    assert data_home.known_owner() == data_home.owner() == moved


def test_a_home_that_is_mounted_twice_is_no_copy(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = data_home.owner()
    other = tmp_path / "mount" / "data"
    other.mkdir(parents=True)
    (other / paths.identity().name).hardlink_to(paths.identity())  # one file by two paths, as a mount has it
    monkeypatch.setenv("LABGEN_HOME", str(other.parent))
    assert data_home.known_owner() == data_home.owner() == chosen


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0",
        "[]",
        "{}",
        "null",
        "[" * 100000,
        '{"owner": "labgen-000000"}',
        '{"owner": "", "home": "/x"}',
        '{"owner": "x_", "home": "/x"}',
        '{"owner": "labgen-000000", "home": "x"}',
        '{"owner": 7, "home": "/x"}',
        '{"owner": "labgen-000000", "home": 7}',
    ],
    ids=lambda text: text[:20],
)
def test_a_damaged_id_is_a_sentence_and_comes_back_from_the_journals(host: Host, run: Run, content: str) -> None:
    make()
    chosen = data_home.owner()
    paths.identity().write_text(content)
    for command in (["destroy", "lab", "--yes"], ["prune", "--dry-run"], ["stop", "lab"]):
        refused = run(*command)
        assert refused.status == 20
        assert str(paths.identity()) in refused.stderr
        assert "or remove it" in refused.stderr
    assert run("status", "lab").status == 0
    paths.identity().unlink()
    assert data_home.owner() == chosen
