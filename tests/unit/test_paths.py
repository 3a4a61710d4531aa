"""The locations of labgen's files: homes of every kind, and directories for temporary files of every kind."""

import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from labgen import paths
from labgen.errors import HostError
from labgen.lab.destroy import destroy
from labgen.progress import Silent
from labgen.records import data_home
from labgen.ssh.forwarding import local_socket
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.test_lab import NOTHING, make, traces

__all__ = ["host", "run"]  # fixtures


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, reached through a link; LABGEN_HOME is not set."""
    for name in ("LABGEN_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    return tmp_path


def test_a_home_is_the_same_through_a_link(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    through_link = (data_home.owner(), paths.data_home(), paths.cache_home())
    monkeypatch.setenv("HOME", str(linked / "home"))
    assert (data_home.owner(), paths.data_home(), paths.cache_home()) == through_link


def test_destroy_finds_the_lab_through_a_link(host: Host, linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(linked / "home"))
    make()
    monkeypatch.setenv("HOME", str(linked / "link"))
    destroy("lab", Silent())
    assert traces(host) == NOTHING


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("a?b", "'?'"),
        ("a[b", "'['"),
        ("a\\b", "\\"),
        ('a"b', '"'),
        ("a${HOME}b", "${"),
        ("a{{b}}", "{{"),
        ("a{%b", "{%"),
        ("a{#b", "{#"),
        ("a\nb", "\\n"),
        ("a\tb", "\\t"),
    ],
)
def test_a_home_that_others_cannot_be_told_of_is_refused(
    name: str, named: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / name))
    for command in (["list"], ["create", "single-node"], ["destroy", "lab", "--yes"], ["prune", "--yes"], ["doctor"]):
        refused = run(*command)
        assert refused.status == HostError.exit_code
        assert "labgen cannot use this directory" in refused.stderr
        assert named.strip("'") in refused.stderr
        assert "Set LABGEN_HOME to a different directory." in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["LABGEN_HOME", "VAGRANT_HOME"])
def test_the_home_of_nobody_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "~nobody-of-this-name/labs")
    with pytest.raises(HostError, match="'~nobody-of-this-name/labs' is not a directory"):
        paths.vagrant_home()


class Echo:
    """A stream into a machine, as far as forwarding is concerned: it repeats its input."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with self._far:
            while data := self._far.recv(100):
                self._far.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._near, name)


@pytest.mark.parametrize("name", ["it's a place ä", "#%25?[x]", "l" * 200, "two\nlines"])
def test_a_socket_is_forwarded_whatever_tmpdir_is_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    with local_socket(Echo) as path, socket.socket(socket.AF_UNIX) as client:  # type: ignore[arg-type]
        assert re.fullmatch("[/a-z0-9]{1,107}", str(path))
        client.connect(str(path))
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    assert list((tmp_path / name).iterdir()) == []


class Gone(Echo):
    """A stream whose connection ends before it is closed."""

    def close(self) -> None:
        self._near.close()
        raise EOFError


def test_a_stream_whose_connection_has_ended_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    before = set(threading.enumerate())
    with local_socket(Gone) as path, socket.socket(socket.AF_UNIX) as client:  # type: ignore[arg-type]
        client.connect(str(path))
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert said == []


def test_no_directory_for_temporary_files_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", refuse)
    refused = run("doctor")
    assert refused.status == 1
    assert "error: No usable temporary directory found" in refused.stderr
