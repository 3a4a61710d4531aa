"""The vagrant module, with a stand-in for Vagrant that prints recorded output.

``vagrant_says`` has pairs: the output of vagrant-libvirt 0.11.2 in a real failure, and the reason in it.
"""

import os
import threading
from pathlib import Path

import pytest

from labgen import backtrace, vagrant
from labgen.errors import HypervisorError

SAYS = Path(__file__).parent / "vagrant_says"


def failing(said: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> HypervisorError:
    """The error that ``up`` raises if Vagrant prints that."""
    program = directory / "bin" / "vagrant"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\ncat '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(HypervisorError) as caught:
        vagrant.up(directory, directory / "vagrant.log", threading.Event())
    return caught.value


@pytest.mark.parametrize("log", sorted(SAYS.glob("*.log")), ids=lambda path: path.stem)
def test_the_reason_is_the_first_thing_told(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing(log, tmp_path, monkeypatch)
    assert error.details + "\n" == log.with_suffix(".txt").read_text()
    assert (tmp_path / "vagrant.log").read_bytes() == log.read_bytes()
    assert str(tmp_path / "vagrant.log") in error.resolution


def test_what_an_earlier_run_said_is_not_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(SAYS / "no_pool.log", tmp_path, monkeypatch)
    error = failing(SAYS / "libvirt_is_down.log", tmp_path, monkeypatch)
    assert error.details + "\n" == (SAYS / "libvirt_is_down.txt").read_text()


def test_a_vagrant_that_names_no_reason_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said").write_text("==> manager1: Starting domain.\n")
    assert failing(tmp_path / "said", tmp_path, monkeypatch).details == "==> manager1: Starting domain."


def test_a_ruby_of_these_days_quotes_otherwise() -> None:
    said = (
        "/usr/lib/x.rb:7:in 'Libvirt::Domain#create': Call to virDomainCreateWithFlags failed: no memory"
        " (Libvirt::Error)\n\tfrom /usr/lib/x.rb:7:in 'Fog::Compute#vm_action'\n"
    )
    assert backtrace.reason(said) == "no memory"
