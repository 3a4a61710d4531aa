"""What is kept of a destroyed lab for reports, and how it goes."""

import json
import stat
from pathlib import Path

import pytest

from labgen import paths
from labgen.errors import HypervisorError
from labgen.hypervisor import Hypervisor
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.machines import removal
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import archive, journals, results
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures


@pytest.fixture
def lab(host: Host) -> str:
    create(load("single-node", ("storage.driver=btrfs",)), "lab", Silent(), cold=True)
    return "lab"


def try_something(lab: str, name: str = "drain") -> None:
    results.save(lab, results.begun("drill", name, "web", "All is well."))


def test_a_lab_without_results_leaves_nothing(lab: str, run: Run) -> None:
    done = run("destroy", lab, "--yes")
    assert done.status == 0
    assert "kept" not in done.stderr
    assert not paths.archive().exists()


def test_results_and_the_journal_are_kept(lab: str, run: Run) -> None:
    try_something(lab)
    journal = journals.load(lab)
    done = run("destroy", lab, "--yes")
    assert done.status == 0
    assert "kept: 1 record for 'labgen report lab'; 'labgen prune --records' deletes what is kept" in done.stderr
    assert not paths.lab(lab).exists()
    (kept,) = archive.of(lab)
    assert kept.journal() == journal
    assert [each.name for each in kept.results()] == ["drain"]


def test_only_its_owner_reads_it(lab: str) -> None:
    try_something(lab)
    destroy(lab, Silent())
    (kept,) = archive.of(lab)
    way = [paths.archive(), kept.directory.parent, kept.directory, kept.directory / paths.RESULTS]
    assert {stat.S_IMODE(path.stat().st_mode) for path in way} == {0o700}
    (record,) = (kept.directory / paths.RESULTS).iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_several_of_one_name_are_kept_the_newest_first(lab: str, host: Host) -> None:
    try_something(lab, "drain")
    destroy(lab, Silent())
    create(load("single-node", ("storage.driver=btrfs",)), "lab", Silent(), cold=True)
    try_something(lab, "power-off")
    destroy(lab, Silent())
    assert [each.results()[0].name for each in archive.of(lab)] == ["power-off", "drain"]
    assert archive.names() == ["lab"]


def test_a_destroy_that_fails_keeps_the_results_where_they_are(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try_something(lab)
    with monkeypatch.context() as patch:
        patch.setattr(Hypervisor, "remove_domain", lambda _self, _name: None)
        with pytest.raises(HypervisorError):
            destroy(lab, Silent())
    assert archive.every() == []
    assert len(results.every(lab)) == 1


def test_a_destroy_that_is_killed_keeps_them_once(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(_name: str) -> None:
        raise KeyboardInterrupt

    try_something(lab)
    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove_files", kill)
        with pytest.raises(KeyboardInterrupt):
            destroy(lab, Silent())
    assert destroy(lab, Silent()) == 0
    assert len(archive.of(lab)) == 1


def test_a_lost_journal_does_not_matter(lab: str) -> None:
    try_something(lab)
    (paths.lab(lab) / paths.STATE).write_text("{")
    assert destroy(lab, Silent()) == 1
    (kept,) = archive.of(lab)
    assert kept.journal() is None
    assert len(kept.results()) == 1


@pytest.mark.parametrize("name", ["..", "../labs", "", "/", "lab/.."])
def test_a_name_does_not_lead_out_of_the_archive(lab: str, name: str) -> None:
    try_something(lab)
    destroy(lab, Silent())
    assert archive.of(name) == []


def test_prune_removes_it_only_when_told_to(lab: str, run: Run) -> None:
    try_something(lab)
    destroy(lab, Silent())
    plain = run("prune", "--yes")
    assert (
        "the records of 1 destroyed lab are kept for reports; 'labgen prune --records' removes them" in plain.stderr
    )
    assert len(archive.every()) == 1
    looked = run("prune", "--records", "--dry-run", "--format", "json")
    (row,) = json.loads(looked.stdout)
    assert row["kind"] == "records of a destroyed lab"
    assert row["name"].startswith("lab 2")
    assert run("prune", "--records", "--yes").status == 0
    assert not paths.archive().exists()


def test_prune_everything_removes_it(lab: str, home: Path, run: Run) -> None:
    try_something(lab)
    destroy(lab, Silent())
    assert run("prune", "--everything", "--yes").status == 0
    assert not paths.archive().exists()


def test_prune_everything_keeps_nothing_of_a_living_lab(lab: str, home: Path, run: Run) -> None:
    try_something(lab)
    assert run("prune", "--everything", "--yes").status == 0
    assert not home.exists()
