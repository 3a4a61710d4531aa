"""``labgen start`` of a lab whose Swarm needs a decision from its user: who is asked, and what an answer does."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from labgen.cli import console
from labgen.lab.stop import stop
from labgen.progress import Silent
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.terminal import on_terminal
from tests.unit.test_lab import NODES, make, traces

__all__ = ["host", "run"]  # fixtures

RIGHT, WRONG = "SWMKEY-1-right", "SWMKEY-1-wrong"


@pytest.fixture
def locked(host: Host) -> Host:
    make()
    host.engine("manager1").trouble = "locked"
    _forget_calls(host)
    return host


@pytest.fixture(params=["left", "no manager knows it"])
def gone(host: Host, request: pytest.FixtureRequest) -> Host:
    make()
    host.engine("manager1").node_id = ""
    if request.param == "left":
        for node in NODES:
            host.engine(node).node_id = ""
        host.cloud.entries.clear()
    _forget_calls(host)
    return host


def _forget_calls(host: Host) -> None:
    for node in NODES:
        host.engine(node).calls.clear()


def calls(host: Host) -> list[str]:
    return [call for node in NODES for call in host.engine(node).calls]


def type_hidden(monkeypatch: pytest.MonkeyPatch, key: str) -> list[str]:
    """A user at a terminal types a key that is not shown. :return: the questions, as they are asked."""
    asked: list[str] = []

    def hidden(question: str) -> str:
        asked.append(question)
        return key

    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("click.termui.hidden_prompt_func", hidden)
    return asked


def answer(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{word}\n"))


@pytest.mark.parametrize("verb", ["start", "resume"])
def test_the_right_key_unlocks_and_the_start_goes_on(
    locked: Host, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    stop("lab", Silent())
    before, entries = traces(locked), dict(locked.cloud.entries)
    asked = type_hidden(monkeypatch, RIGHT)
    started = run(verb, "lab")
    assert started.status == 0, started.stderr
    assert len(asked) == 1
    assert "Ctrl-C leaves it locked" in asked[0]
    assert "locked on manager1" in started.stderr
    assert started.stdout == "lab is running\n"
    assert calls(locked) == ["unlock"]
    assert (traces(locked), locked.cloud.entries) == (before, entries)
    _is_nowhere(RIGHT, started.stdout + started.stderr, home)


def test_a_wrong_key_is_a_failure_of_the_cluster(
    locked: Host, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, entries = traces(locked), dict(locked.cloud.entries)
    type_hidden(monkeypatch, WRONG)
    refused = run("start", "lab")
    assert refused.status == 60
    assert "unlocking its Swarm failed" in refused.stderr
    assert refused.stdout == ""
    assert calls(locked) == ["unlock"]
    assert locked.engine("manager1").trouble == "locked"
    assert (traces(locked), locked.cloud.entries) == (before, entries)
    _is_nowhere(WRONG, refused.stderr, home)


def _is_nowhere(key: str, said: str, home: Path) -> None:
    assert key not in said
    assert not [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_without_a_terminal_nobody_is_asked_for_the_key(
    locked: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, entries = traces(locked), dict(locked.cloud.entries)
    asked = type_hidden(monkeypatch, RIGHT)
    monkeypatch.setattr(console, "is_interactive", lambda: False)
    refused = run("start", "lab")
    assert refused.status == 60
    assert "labgen ssh lab manager1 docker swarm unlock" in refused.stderr
    assert asked == calls(locked) == []
    assert (traces(locked), locked.cloud.entries) == (before, entries)


# A lab whose Swarm is locked, as the recipe reports it; the terminal is a real one.
LOCKED = f"""
import sys
from labgen.errors import ClusterError
from labgen.lab import start as recipe
from labgen.machines.bringup import Outcome
from labgen.orchestrators import ClusterLocked
keys = []
def start(name, progress, *, new_cluster=False):
    if keys[-1:] == ["{RIGHT}"]:
        return Outcome(None, changed=True)
    raise ClusterLocked("the Swarm is locked")
def unlock(name, key, progress):
    keys.append(key)
    if key != "{RIGHT}":
        raise ClusterError("unlocking its Swarm failed", "invalid key")
recipe.start, recipe.unlock, sys.argv = start, unlock, ["labgen", "start", "lab"]
from labgen.cli import main
main()
"""


@pytest.mark.parametrize(("key", "status", "said"), [(RIGHT, 0, "lab is running"), (WRONG, 60, "invalid key")])
def test_the_key_is_not_shown_on_the_terminal(key: str, status: int, said: str) -> None:
    with on_terminal([sys.executable, "-c", LOCKED]) as (terminal, process):
        terminal.wait_for_secret_question("Unlock key (Ctrl-C leaves it locked):")
        terminal.type(f"{key}\r")
        terminal.wait_for(said)
        terminal.wait_for_end()
        assert process.wait() == status
        assert key.encode() not in terminal.raw


def test_ctrl_c_leaves_it_locked() -> None:
    with on_terminal([sys.executable, "-c", LOCKED]) as (terminal, process):
        terminal.wait_for_secret_question("Unlock key (Ctrl-C leaves it locked):")
        terminal.type("\x03")
        terminal.wait_for_end()
        assert process.wait() == 130
        assert "interrupted" in terminal.lines()


@pytest.mark.parametrize("word", ["n", "", "perhaps\nn"])
def test_a_no_leaves_the_nodes_as_they_are(gone: Host, run: Run, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    before = _of_the_swarm(gone)
    answer(monkeypatch, word)
    refused = run("start", "lab")
    assert refused.status == 130
    assert "no longer has a manager" in refused.stderr
    assert "Form a new one, without the old one's contents?" in refused.stderr
    assert "Nothing was changed." in refused.stderr
    assert _of_the_swarm(gone) == before
    assert calls(gone) == []


def test_a_yes_forms_a_new_swarm(gone: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gone.cloud.entries.clear()  # the managers' state is lost with them
    before = traces(gone)
    answer(monkeypatch, "y")
    started = run("start", "lab")
    assert started.status == 0, started.stderr
    assert started.stdout == "lab is running\n"
    assert {entry.hostname for entry in gone.cloud.entries.values()} == set(NODES)
    assert {gone.engine(node).node_id for node in NODES} == set(gone.cloud.entries)
    assert traces(gone) == before


def test_without_a_terminal_no_swarm_is_formed(gone: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _of_the_swarm(gone)
    answer(monkeypatch, "y")
    monkeypatch.setattr(console, "is_interactive", lambda: False)
    refused = run("start", "lab")
    assert refused.status == 60
    assert "'labgen start lab' on a terminal offers to do it" in refused.stderr
    assert _of_the_swarm(gone) == before
    assert calls(gone) == []


def _of_the_swarm(host: Host) -> list[Any]:
    return [traces(host), dict(host.cloud.entries), [host.engine(node).node_id for node in NODES]]
