"""Commands that remove things: what they check first, whom they ask, and what they report afterwards."""

import sys

import pytest

from labgen import paths
from labgen.errors import HypervisorError
from labgen.progress import Progress
from labgen.records import journals
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.terminal import on_terminal

__all__ = ["host", "run"]  # fixtures


@pytest.fixture
def two_labs(host: Host, run: Run) -> None:
    for name in ("one", "two"):
        run("create", "three-node-btrfs", "--name", name)


@pytest.mark.parametrize(
    "arguments", [["destroy", "one"], ["destroy", "--all"], ["checkpoint", "restore", "one", "x"]]
)
def test_without_a_terminal_yes_has_to_be_said(two_labs: None, run: Run, arguments: list[str]) -> None:
    run("checkpoint", "save", "one", "x")
    refused = run(*arguments)
    assert refused.status == 2
    assert "--yes" in refused.stderr
    assert "interrupted" not in refused.stderr
    assert journals.names() == ["one", "two"]


def test_no_is_taken_for_an_answer(two_labs: None) -> None:
    with on_terminal([sys.executable, "-m", "labgen", "destroy", "one"]) as (terminal, process):
        terminal.wait_for("Destroy one with everything in them?")
        terminal.type("n\r")
        terminal.wait_for("Nothing was changed.")
        terminal.wait_for_end()
        assert process.wait() == 130
    assert journals.names() == ["one", "two"]


def test_one_name_that_is_no_lab_and_nothing_is_destroyed(two_labs: None, run: Run) -> None:
    refused = run("destroy", "one", "nope", "three", "--yes")
    assert refused.status == 2
    assert "'nope' or 'three'" in refused.stderr
    assert refused.stdout == ""
    assert journals.names() == ["one", "two"]


def test_missing_labs_may_be_passed_over(two_labs: None, run: Run) -> None:
    gone = run("destroy", "nope", "one", "one", "--if-exists", "--yes")
    assert gone.status == 0
    assert gone.stdout == "one is destroyed\n"
    assert "'nope'" in gone.stderr
    assert run("destroy", "one", "--if-exists", "--yes").status == 0
    assert journals.names() == ["two"]


def test_a_lab_that_cannot_be_destroyed_keeps_none_of_the_others(
    two_labs: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labgen.lab import destroy

    real = destroy.destroy

    def refuse_one(name: str, progress: Progress) -> None:
        if name == "one":
            raise HypervisorError("libvirt refuses", "for once")
        real(name, progress)

    monkeypatch.setattr(destroy, "destroy", refuse_one)
    partly = run("destroy", "--all", "--yes")
    assert partly.status == 40
    assert "one was not destroyed" in partly.stderr
    assert partly.stdout == "two is destroyed\n"
    assert journals.names() == ["one"]


def test_destroy_wants_names_or_all(host: Host, run: Run) -> None:
    assert run("destroy").status == 2
    assert run("destroy", "one", "--all").status == 2
    assert run("destroy", "--all", "--yes").status == 0


def test_restore_looks_before_it_asks(two_labs: None, run: Run) -> None:
    refused = run("checkpoint", "restore", "one", "nowhen")
    assert refused.status == 2
    assert "no checkpoint named 'nowhen'" in refused.stderr
    assert "no lab named" in run("checkpoint", "restore", "nowhere", "nowhen").stderr


def test_prune_can_only_look(two_labs: None, run: Run) -> None:
    for record in (paths.STATE, paths.PROFILE):
        (paths.lab("one") / record).unlink()
    assert "labgen destroy one" in run("prune", "--yes").stderr  # a user may have used it
    assert journals.names() == ["one", "two"]
    paths.incoming("one").mkdir()  # as left by an interrupted import
    looked = run("prune", "--dry-run")
    assert looked.status == 0
    assert "labgen" in looked.stdout
    assert journals.names() == ["one", "two"]
    assert run("prune").status == 2  # it would ask
    assert run("prune", "--yes").status == 0
    assert journals.names() == ["two"]
    assert run("prune", "--dry-run").stderr == "nothing to remove\n"
