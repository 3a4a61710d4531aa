"""A bug in labgen: reported in a sentence, with the details in a file."""

import pytest

from labgen import paths
from labgen.cli import fault
from tests.unit.commands import Run, run

__all__ = ["run"]  # a fixture

SECRET = "SWMTKN-1-secret"


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def listing() -> None:
        token = SECRET
        raise error if token else AssertionError

    monkeypatch.setattr("labgen.lab.list_.listing", listing)


def test_a_fault_is_a_sentence_and_a_file_for_its_owner(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyError("worker9"))
    failed = run("list")
    assert failed.status == 1
    assert failed.stderr.startswith("error: this is a bug in labgen\n")
    assert "KeyError: 'worker9'" in failed.stderr
    assert "labgen 0." in failed.stderr
    assert "test_fault.py, line" in failed.stderr
    assert str(paths.fault()) in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""
    written = paths.fault().read_text()
    assert "Traceback" in written
    assert "in listing" in written
    assert SECRET not in written
    assert paths.fault().stat().st_mode & 0o777 == 0o600


def test_what_it_says_does_not_steer_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ValueError("\x1b[2Jgone"))
    assert "\x1b" not in run("list").stderr


def test_a_fault_is_said_where_no_file_can_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.cache_home().parent.mkdir()
    paths.cache_home().write_text("a file is in its place")
    fail_with(monkeypatch, RecursionError("too deep"))
    failed = run("list")
    assert failed.status == 1
    assert "RecursionError: too deep" in failed.stderr
    assert "the lines above" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_library_that_is_missing_is_the_hosts_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ModuleNotFoundError("No module named 'libvirt'"))
    failed = run("list")
    assert failed.status == 20
    assert "No module named 'libvirt'" in failed.stderr
    assert "make install" in failed.stderr


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_what_is_no_fault_stays_what_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    monkeypatch.setattr("labgen.cli.streams.abandon", lambda _stream: None)
    fail_with(monkeypatch, error)
    assert run("list").status == status
    assert not paths.fault().exists()


def test_a_fault_in_a_checkout_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> str:
        raise fault.PackageNotFoundError

    monkeypatch.setattr(fault, "version", missing)
    assert "labgen of a checkout that is not installed" in fault.in_words(KeyError()).details
