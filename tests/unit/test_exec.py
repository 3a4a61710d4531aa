"""``exec`` as part of a pipe, and the arguments of ``ssh`` and ``exec``."""

import os
from collections.abc import Callable

import pytest

from labgen.cli.access import SshWords
from labgen.cli.exec import LONGEST, LinesByNode
from labgen.errors import GuestError, UsageError
from labgen.lab.exec import run
from labgen.lab.stop import stop
from labgen.progress import Silent
from tests.unit.host import FakeCommand, Host, host
from tests.unit.test_cli import Run
from tests.unit.test_cli import run as labgen
from tests.unit.test_lab import make

__all__ = ["host", "labgen"]  # fixtures


class Kept:
    """Output in memory, by node."""

    def __init__(self) -> None:
        self.said: dict[str, bytes] = {}
        self.aside: dict[str, bytes] = {}

    def out(self, node: str, data: bytes) -> None:
        self.said[node] = self.said.get(node, b"") + data

    def err(self, node: str, data: bytes) -> None:
        self.aside[node] = self.aside.get(node, b"") + data


class Gone(Kept):
    """A reader that has seen enough."""

    def out(self, node: str, data: bytes) -> None:
        raise BrokenPipeError


def raises(error: BaseException) -> Callable[..., int]:
    def wait(*_: object) -> int:
        raise error

    return wait


def test_the_chosen_nodes_run_the_command(host: Host) -> None:
    make()
    kept = Kept()
    assert run("lab", ["worker1", "worker2"], ["echo", "x"], None, kept) == {"worker1": 1, "worker2": 2}
    assert kept.said == {"worker1": b"echo x", "worker2": b"echo x"}
    assert kept.aside == {"worker1": b"aside\n", "worker2": b"aside\n"}
    with pytest.raises(UsageError, match="worker9"):
        run("lab", ["worker9"], ["true"], None, kept)


def test_every_node_gets_all_of_standard_input(host: Host) -> None:
    make()
    data = os.urandom(200000)
    source, sink = os.pipe()
    if not os.fork():  # a writer that blocks while nobody reads
        os.close(source)
        with open(sink, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
        os._exit(0)
    os.close(sink)
    kept = Kept()
    run("lab", [], ["cat"], source, kept)
    os.close(source)
    assert kept.said == dict.fromkeys(["manager1", "worker1", "worker2"], data)


def test_a_reader_that_went_away_ends_the_commands_everywhere(host: Host) -> None:
    make()
    with pytest.raises(BrokenPipeError):
        run("lab", [], ["yes"], None, Gone())
    assert host.stopped == dict.fromkeys(["manager1", "worker1", "worker2"], "PIPE")


def test_ctrl_c_ends_the_commands_everywhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    monkeypatch.setattr(FakeCommand, "wait", raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run("lab", [], ["sleep", "inf"], None, Kept())
    assert host.stopped == dict.fromkeys(["manager1", "worker1", "worker2"], "INT")


def test_a_node_that_was_lost_is_named_when_the_others_have_ended(host: Host) -> None:
    make()
    host.unreachable = "worker1"
    kept = Kept()
    with pytest.raises(GuestError, match="worker1") as caught:
        run("lab", [], ["true"], None, kept)
    assert set(kept.said) == {"manager1", "worker2"}
    assert caught.value.resolution == "labgen status lab"


def test_a_lab_that_is_off_says_so_and_how_to_start_it(host: Host, labgen: Run) -> None:
    make()
    host.libvirt.lookupByName(next(name for name in host.domains() if name.endswith("_worker1"))).destroy()
    host.unreachable = "worker1"
    assert "worker1 of 'lab' is stopped" in labgen("exec", "lab", "--", "true").stderr
    off = labgen("ssh", "lab", "worker1")
    assert (off.status, off.stderr) == (50, "error: worker1 of 'lab' is stopped\nlabgen start lab\n")
    stop("lab", Silent())
    off = labgen("exec", "lab", "--node", "worker1", "--", "true")
    assert (off.status, off.stderr) == (50, "error: the lab 'lab' is stopped\nlabgen start lab\n")


def test_whole_lines_of_several_nodes_and_the_bytes_of_one(host: Host, labgen: Run) -> None:
    make()
    several = labgen("exec", "lab", "--", "echo", "-n", "x")
    assert sorted(several.stdout.splitlines()) == [
        f"{node}: echo -n x" for node in ("manager1", "worker1", "worker2")
    ]
    assert "worker2: aside\n" in several.stderr
    one = labgen("exec", "lab", "--node", "worker2", "--", "echo", "-n", "x")
    assert (one.status, one.stdout, one.stderr) == (2, "echo -n x", "aside\n")


def test_a_line_waits_for_its_end_but_not_for_ever(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = LinesByNode()
    lines.out("a", b"one\ntw")
    lines.out("b", b"three\n")
    lines.out("a", b"o\n\xff")
    assert capfdbinary.readouterr().out == b"a: one\nb: three\na: two\n"
    lines.out("b", bytes(LONGEST + 1))
    assert capfdbinary.readouterr().out == b"b: " + bytes(LONGEST + 1) + b"\n"
    lines.end()
    assert capfdbinary.readouterr().out == b"a: \xff\n"


@pytest.mark.parametrize(
    "words",
    [
        ["lab", "--node", "worker2", "--", "printf", "-v"],
        ["--node", "worker2", "lab", "--", "printf", "-v"],
        ["--node=worker2", "lab", "printf", "-v"],
        ["lab", "--node=worker2", "printf", "-v"],
    ],
    ids=" ".join,
)
def test_options_of_the_command_are_its_own(host: Host, labgen: Run, words: list[str]) -> None:
    make()
    assert labgen("exec", *words).stdout == "printf -v"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "worker1", "--", "hostname"], "--node"),
        (["-it", "bash"], "labgen ssh LAB NODE"),
        (["manager1", "--", "hostname"], "labgen exec lab --node manager1 -- COMMAND"),
        ([], "COMMAND"),
        (["--all", "--node", "worker1", "--", "true"], "cannot be combined"),
    ],
    ids=str,
)
def test_what_exec_cannot_mean_is_refused(host: Host, labgen: Run, words: list[str], said: str) -> None:
    make()
    refused = labgen("exec", "lab", *words)
    assert refused.status == 2
    assert said in refused.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", (None, "", "")),
        ("worker1", ("worker1", "", "")),
        ("-- hostname -f", (None, "", "hostname -f")),
        ("worker1 docker node ls -q", ("worker1", "", "docker node ls -q")),
        ("-L 8080:localhost:80", (None, "-L 8080:localhost:80", "")),
        ("-NL 8080:localhost:80 worker1", ("worker1", "-NL 8080:localhost:80", "")),
        ("worker1 -L8080:localhost:80 -t -- vi -R x", ("worker1", "-L8080:localhost:80 -t", "vi -R x")),
        ("worker1 -o User=x ls -- y", ("worker1", "-o User=x", "ls -- y")),
    ],
)
def test_the_words_after_the_lab(words: str, expected: tuple[str | None, str, str]) -> None:
    given = SshWords.of(words.split())
    assert (given.node, " ".join(given.options), " ".join(given.command)) == expected
