"""A lab's events: which are stored for each command, within which bounds, and how they are read."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from labgen import cli, paths
from labgen.engine import JoinTokens
from labgen.errors import ClusterError
from labgen.machines.bringup import STAGES
from labgen.progress import Amount, Event, Progress
from labgen.records import events, recorder
from labgen.records.events import Entry
from labgen.records.recorder import Recorder
from tests.unit.commands import Run, run
from tests.unit.engines import FakeEngine
from tests.unit.host import Host, host
from tests.unit.test_lab import make

__all__ = ["host", "run"]  # fixtures

MOMENT = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs" / "labs.md"


def kept(lab: str = "lab") -> list[Entry]:
    return list(events.every(lab))


def entry(number: int = 0, **fields: Any) -> Entry:
    return Entry(MOMENT, "step", text=f"number {number}", **{"lab": "lab", "command": "create", **fields})


def numbers(entries: list[Entry]) -> list[int]:
    return [int(each.text.split()[1]) for each in entries]


@pytest.fixture
def directory() -> Path:
    """A lab's directory, and nothing else of the lab."""
    paths.lab("lab").mkdir(parents=True)
    return paths.lab("lab")


def test_a_create_is_kept_from_its_beginning_to_its_exit_code(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab", "--cold")
    found = kept()
    assert {(each.command, each.version, each.lab) for each in found} == {("create", version("labgen"), "lab")}
    assert (found[0].state, found[0].stage) == ("began", "")
    assert (found[-1].state, found[-1].exit_code) == ("ended", 0)
    assert [each.exit_code for each in found[:-1]] == [None] * (len(found) - 1)
    begun = [each.stage for each in found if each.state == "began"][1:]
    assert begun == [stage.name for stage in STAGES if stage.name in begun]
    assert {"connect-network", "prepare-nodes", "form-cluster", "note-facts"} <= set(begun)
    of_worker = [(each.state, each.stage) for each in found if each.node == "worker1"]
    assert of_worker == [
        ("step", "boot"),
        ("step", "provision/hosts.sh"),
        ("step", "provision/docker-disk.sh"),
        ("step", "provision/docker.sh"),
        ("done", "ready"),
        ("step", "join"),
        ("done", "join"),
    ]


def test_every_verb_says_which_lab_and_which_stage(host: Host, run: Run, tmp_path: Path) -> None:
    commands = [
        ["create", "three-node-btrfs", "--name", "lab"],
        ["create", "three-node-btrfs", "--name", "lab"],
        ["stop", "lab"],
        ["start", "lab"],
        ["suspend", "lab"],
        ["resume", "lab"],
        ["checkpoint", "save", "lab", "one"],
        ["checkpoint", "restore", "lab", "one", "--yes"],
        ["checkpoint", "delete", "lab", "one"],
        ["export", "lab", "--depth", "recipe", "-o", str(tmp_path / "lab.labgen")],
    ]
    for command in commands:
        before = len(list(events.every("lab")))
        done = run(*command)
        assert done.status == 0
        # Everything on the screen is an event of the lab: none is missing here.
        shown = [match[1] for match in re.finditer(r"^ *\d+\.\ds  (.*)$", done.stderr, re.MULTILINE)]
        told = [f"{each.node}: {each.text}" if each.node else each.text for each in kept()[before:] if each.text]
        assert sorted(told) == sorted(shown)
        assert shown
    verbs = [" ".join(command[: command.index("lab")]) for command in commands[2:]]
    verbs[-1] = "export"
    assert [each.command for each in kept() if each.state == "ended"] == ["create", "create", *verbs]
    assert [each.command for each in kept() if each.state == "began" and not each.stage] == [
        each.command for each in kept() if each.state == "ended"
    ]
    for each in kept():
        assert each.stage or each.state in {"began", "note", "ended"}, each
    shown = json.loads(run("events", "lab", "--format", "json").stdout)
    assert {each["command"] for each in shown if each["done"] is not None} == {"export"}
    assert run("import", str(tmp_path / "lab.labgen"), "--name", "second").status == 0
    assert [(each.command, each.exit_code) for each in kept("second")][-1] == ("import", 0)
    assert "unpack-bundle" in {each.stage for each in kept("second")}


def test_an_alias_is_kept_as_what_it_means(host: Host, run: Run) -> None:
    make()
    run("halt", "lab")
    assert {each.command for each in kept()} == {"stop"}


def test_the_command_is_the_same_however_labgen_is_called(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no bundle")
    command = [sys.executable, "-m", "labgen", "import", str(tmp_path / "file"), "--name", "lab"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 70
    assert [(each.command, each.state, each.exit_code) for each in kept()] == [
        ("import", "began", None),
        ("import", "ended", 70),
    ]


def test_failures_refusals_and_ctrl_c_have_their_exit_codes(
    host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.failing_script = "docker.sh"
    run("create", "three-node-btrfs", "--name", "lab")
    assert kept()[-1].exit_code == 50
    host.failing_script = ""
    with monkeypatch.context() as patch:
        patch.setattr("labgen.orchestrators.swarm.Swarm.form", _interrupt)
        run("create", "three-node-btrfs", "--name", "lab")
    assert kept()[-1].exit_code == 130
    run("create", "three-node-btrfs", "--name", "lab")
    run("suspend", "lab")
    assert run("stop", "lab").status == 2
    assert [(each.command, each.exit_code) for each in kept() if each.state == "ended"] == [
        ("create", 50),
        ("create", 130),
        ("create", 0),
        ("suspend", 0),
        ("stop", 2),
    ]


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_the_exit_code_is_the_one_that_the_caller_sees(host: Host, run: Run, monkeypatch: Any) -> None:
    make()
    monkeypatch.setattr("labgen.cli.streams.flushed", lambda status: status or 1)
    run("stop", "lab")
    assert kept()[-1].exit_code == 1


def test_who_only_looks_and_who_was_not_let_in_leave_nothing(host: Host, run: Run) -> None:
    make()
    run("status", "lab")
    run("ssh-config", "lab")
    with busy("lab"):
        assert run("stop", "lab").status == 1
    assert kept() == []
    run("stop", "lab")
    assert kept() != []


@contextlib.contextmanager
def busy(lab: str) -> Iterator[None]:
    """Another labgen process works on the lab."""
    program = (
        f"from labgen import paths, turns\nwith turns.lock(paths.lab_lock('{lab}')):\n    print(flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        yield
        process.stdin.close()


def test_what_is_destroyed_is_not_made_again(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    assert run("destroy", "lab", "--yes").status == 0
    assert not paths.lab("lab").exists()
    host.failing_script = "docker.sh"
    assert run("create", "three-node-btrfs", "--name", "lab", "--on-failure", "rollback").status == 50
    assert not paths.lab("lab").exists()


def test_what_happens_before_there_is_a_directory_is_kept_as_soon_as_there_is_one() -> None:
    listener = Recorder("create", "1")
    lab = Progress(listener.hear).of("lab")
    Progress(listener.hear).note("of no lab")
    lab.step("number 1")
    assert not paths.labs().exists()
    paths.lab("lab").mkdir(parents=True)
    lab.step("number 2")
    listener.end(0)
    assert [each.state for each in kept()] == ["began", "step", "step", "ended"]
    assert numbers(kept()[1:3]) == [1, 2]


def test_a_command_that_ends_before_its_next_event_is_kept_too() -> None:
    listener = Recorder("create", "1")
    Progress(listener.hear).of("lab")
    paths.lab("lab").mkdir(parents=True)
    listener.end(20)
    assert [(each.state, each.exit_code) for each in kept()] == [("began", None), ("ended", 20)]


def test_the_end_of_a_command_makes_no_file_for_a_lab_that_others_have_destroyed(directory: Path) -> None:
    listener = Recorder("stop", "1")
    Progress(listener.hear).of("lab")
    paths.events("lab").unlink()
    listener.end(0)
    assert list((directory / paths.LOGS).iterdir()) == []


def test_nothing_is_kept_of_a_command_that_has_ended(directory: Path) -> None:
    listener = Recorder("create", "1")
    lab = Progress(listener.hear).of("lab")
    listener.end(130)
    lab.step("a thread that goes on")
    assert [each.state for each in kept()] == ["began", "ended"]


def test_no_more_waits_than_fits() -> None:
    listener = Recorder("create", "1")
    for number in range(recorder.WAITING + 5):
        listener.hear(Event(MOMENT, "step", text=f"number {number}", lab="lab"))
    paths.lab("lab").mkdir(parents=True)
    listener.end(0)
    assert len(kept()) == recorder.WAITING
    assert numbers(kept()[:1]) == [6]


def test_both_files_stay_within_their_bounds(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST", 4000)
    for number in range(100):
        events.append("lab", [entry(number)])
        assert paths.events("lab").stat().st_size <= 4000
    assert sorted(each.name for each in (directory / paths.LOGS).iterdir()) == ["events.jsonl", "events.jsonl.1"]
    assert 2000 < paths.former_events("lab").stat().st_size <= 4000
    found = numbers(kept())
    assert found == list(range(found[0], 100))
    assert len(found) > 10


def test_long_words_are_cut(directory: Path) -> None:
    Progress(Recorder("create", "1").hear).of("lab").note("x" * 100_000)
    assert kept()[1].text == "x" * recorder.LONGEST


def test_a_line_that_is_half_written_costs_no_other(directory: Path) -> None:
    events.append("lab", [entry(1), entry(2)])
    path = paths.events("lab")
    path.write_bytes(path.read_bytes()[:-40])
    assert numbers(kept()) == [1]
    events.append("lab", [entry(3)])
    assert numbers(kept()) == [1, 3]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"{}",
        b'{"time": "now", "state": "step"}',
        b'{"time": "2026-01-01T00:00:00", "state": "step"}',
        b'{"time": "2026-01-01T00:00:00+00:00", "state": "step", "text": 7}',
    ],
)
def test_what_is_no_event_is_passed_over(directory: Path, run: Run, damage: bytes) -> None:
    events.append("lab", [entry(1)])
    with paths.events("lab").open("ab") as file:
        file.write(damage + b"\n")
    events.append("lab", [entry(2)])
    assert numbers(kept()) == [1, 2]
    assert len(run("events", "lab").stdout.splitlines()) == 2


def test_a_later_labgen_may_say_more(directory: Path) -> None:
    events.append("lab", [entry(1)])
    text = paths.events("lab").read_text().replace('"lab"', '"host": "elsewhere", "lab"', 1)
    paths.events("lab").write_text(text)
    assert numbers(kept()) == [1]


def _append_many(writer: int, count: int, largest: int) -> None:
    events.LARGEST = largest
    for number in range(count):
        events.append("lab", [entry(number, node=f"n{writer}")])


@pytest.mark.parametrize("largest", [2**20, 20_000])
def test_several_may_append_at_once(directory: Path, largest: int) -> None:
    processes = [get_context("fork").Process(target=_append_many, args=(each, 200, largest)) for each in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    lines = b"".join(path.read_bytes() for path in (directory / paths.LOGS).iterdir()).splitlines()
    assert len(lines) == len(kept()), "all lines are whole"
    if largest == 2**20:
        assert len(kept()) == 600
    for writer in range(3):
        found = numbers([each for each in kept() if each.node == f"n{writer}"])
        assert found == list(range(200 - len(found), 200)), "the newest are there, in their order"


def test_who_waited_while_the_file_was_renamed_writes_into_the_new_one(directory: Path) -> None:
    events.append("lab", [entry(1)])
    with paths.events("lab").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=events.append, args=("lab", [entry(2)]))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        paths.events("lab").rename(paths.former_events("lab"))
    waiting.join()
    assert "number 2" in paths.events("lab").read_text()
    assert numbers(kept()) == [1, 2]


def _full(logs: Path) -> None:
    logs.mkdir(exist_ok=True)
    (logs / "events.jsonl").unlink(missing_ok=True)
    (logs / "events.jsonl").symlink_to("/dev/full")


def _no_file(logs: Path) -> None:
    (logs / "events.jsonl").unlink(missing_ok=True)
    (logs / "events.jsonl").mkdir(parents=True)


def _nowhere(logs: Path) -> None:
    (logs / "events.jsonl").unlink(missing_ok=True)
    (logs / "events.jsonl").symlink_to("/nonexistent/file")


@pytest.mark.parametrize("trouble", [_full, _no_file, _nowhere])
def test_what_cannot_be_kept_stops_nothing_and_hides_nothing(host: Host, run: Run, trouble: Any) -> None:
    host.failing_script = "docker.sh"
    run("create", "three-node-btrfs", "--name", "lab", "--cold")
    trouble(paths.lab("lab") / paths.LOGS)
    failed = run("create", "three-node-btrfs", "--name", "lab", "--cold")
    assert failed.status == 50
    assert "docker.sh failed" in failed.stderr
    host.failing_script = ""
    assert run("create", "three-node-btrfs", "--name", "lab", "--cold").status == 0
    assert run("stop", "lab").stdout == "lab is stopped\n"
    assert run("destroy", "lab", "--yes").status == 0
    assert not paths.lab("lab").exists()


def test_the_file_may_be_read_by_whom_the_other_logs_may(directory: Path) -> None:
    mask = os.umask(0o027)
    try:
        events.append("lab", [entry()])
        (directory / paths.LOGS / "vagrant.log").open("w").close()
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory / paths.LOGS).iterdir()]
    assert modes == [0o640, 0o640]


def test_bytes_are_kept_once_in_a_while(directory: Path) -> None:
    listener = Recorder("export", "1")
    for second in range(25):
        done, now = second * 2**20, MOMENT + timedelta(seconds=second)
        for node in ("one", "two"):
            listener.hear(Event(now, "step", "copy-disks", "copying", "lab", node, done, 25 * 2**20))
    listener.hear(Event(MOMENT, "done", "copy-disks", "copied", "lab", "one"))
    of_one = [each for each in kept() if each.node == "one"]
    assert [each.done and each.done // 2**20 for each in of_one] == [0, 1, 11, 21, None]
    assert len(kept()) == 9


def test_no_secret_gets_in(host: Host, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prefix = "SWMTKN-1-"
    tokens = {role: prefix + role for role in ("manager", "worker")}
    join = FakeEngine.swarm_join

    def refuse(_self: FakeEngine, _address: str, manager: str, token: str) -> None:
        raise ClusterError("joining its Swarm failed", f"docker swarm join --token {token} {manager}")

    monkeypatch.setattr(FakeEngine, "join_tokens", lambda _self: JoinTokens(tokens))
    with monkeypatch.context() as patch:
        patch.setattr(FakeEngine, "swarm_join", refuse)
        assert "SWMTKN-1-worker" in run("create", "three-node-btrfs", "--name", "lab").stderr
    monkeypatch.setattr(
        FakeEngine,
        "swarm_join",
        lambda self, own, manager, token: join(self, own, manager, token.removeprefix(prefix)),
    )
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    run("export", "lab", "--depth", "recipe", "--include-secrets", "-o", str(tmp_path / "lab.labgen"))
    host.engine("manager1").trouble = "locked"
    run("start", "lab")
    said = paths.events("lab").read_text()
    key = (paths.lab("lab") / paths.KEY).read_text()
    seeds = [made["randomness"] for machine in host.machines.values() for made in machine.identities]
    assert seeds
    for secret in (*tokens.values(), *key.splitlines(), *seeds):
        assert secret not in said
    assert len(kept()) > 30


def test_people_see_lines(directory: Path, run: Run) -> None:
    def at(second: int, **fields: Any) -> Entry:
        fields = {"state": "step", "command": "export", "version": "1.2", "lab": "lab", **fields}
        return Entry(time=MOMENT + timedelta(seconds=second), **fields)

    copying = {"text": "copying", "node": "worker1", "total": 40 * 2**20}
    events.append(
        "lab",
        [
            at(0, state="began"),
            at(1, state="began", stage="prepare-nodes"),
            at(2, done=0, **copying),
            at(12, done=10 * 2**20, **copying),
            at(13, state="note", text="\x1b[31mhostile"),
            at(14, state="ended", exit_code=40),
        ],
    )
    shown = run("events", "lab")
    assert shown.stdout.splitlines() == [
        "2026-11-25 12:00:00  export              started, labgen 1.2",
        "2026-11-25 12:00:02  export              worker1: copying",
        "2026-11-25 12:00:12  export              worker1: copying: 10 of 40 MiB, 30 s left",
        "2026-11-25 12:00:13  export              \\x1b[31mhostile",
        "2026-11-25 12:00:14  export              ended with exit code 40",
    ]
    read = json.loads(run("events", "lab", "--format", "json").stdout)
    assert len(read) == 6
    assert read[3]["time"] == "2026-11-25T12:00:12.000+00:00"
    assert (read[3]["done"], read[3]["total"], read[3]["exit_code"]) == (10 * 2**20, 40 * 2**20, None)
    assert set(read[0]) == set(json.loads(paths.events("lab").read_text().splitlines()[0]))


def test_a_lab_without_events_and_no_lab_at_all(directory: Path, run: Run) -> None:
    assert run("events", "lab").stdout == ""
    assert run("events", "lab", "--format", "json").stdout == "[]\n"
    missing = run("events", "lob")
    assert missing.status == 2
    assert "Available labs: lab" in missing.stderr
    assert run("events", "../labs/lab").status == 2


def test_the_documentation_names_the_stages() -> None:
    text = DOCS.read_text()
    assert [stage.name for stage in STAGES if f"`{stage.name}`" not in text] == []
    assert [field for field in entry().to_json() if f"`{field}`" not in text] == []


@contextlib.contextmanager
def following(*options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "labgen", "events", "lab", "--follow", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        limit = threading.Timer(60, process.kill)  # otherwise a reader of events that never come waits for ever
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()


def test_who_follows_gets_what_comes_across_a_rotation_until_the_lab_is_destroyed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LARGEST", 1500)
    with following("--format", "json") as process:
        assert process.stdout and process.stderr
        for number in range(30):
            events.append("lab", [entry(number)])
            assert json.loads(process.stdout.readline())["text"] == f"number {number}"
        assert paths.former_events("lab").exists()
        path = paths.events("lab")
        with path.open("ab") as file:  # half of a line, which is not an event yet
            line = json.dumps(entry(30).to_json()).encode() + b"\n"
            file.write(line[:50])
            file.flush()
            time.sleep(2 * events.POLL)
            file.write(line[50:])
        assert json.loads(process.stdout.readline())["text"] == "number 30"
        events.append("lab", [replace(entry(31), text="the last words")])
        shutil.rmtree(directory)
        assert json.loads(process.stdout.readline())["text"] == "the last words"
        assert process.wait(20) == 0
        assert "lab has been destroyed" in process.stderr.read()


def test_who_follows_begins_with_what_there_is_and_ends_by_ctrl_c(directory: Path) -> None:
    with following() as process:
        assert process.stdout and process.stderr
        threading.Timer(2, events.append, ("lab", [entry(1)])).start()  # before that, not even a file exists
        assert "number 1" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read().strip() == "interrupted"
    events.append("lab", [entry(2)])
    paths.events("lab").rename(paths.former_events("lab"))
    events.append("lab", [entry(3)])
    with following() as process:
        assert process.stdout
        assert [process.stdout.readline()[-9:-1] for _ in range(3)] == ["number 1", "number 2", "number 3"]


def test_every_command_that_works_on_labs_is_narrower_than_its_column() -> None:
    from labgen.cli.events import LONGEST

    commands = [*cli.COMMANDS, *(f"checkpoint {verb}" for verb in ("save", "restore", "delete"))]
    assert max(map(len, commands)) == LONGEST


def test_an_amount_knows_its_lab_and_its_stage() -> None:
    heard: list[Event] = []
    Amount("copying", 10, Progress(heard.append).of("lab").at("outer"), "worker1", stage="copy")
    Progress(heard.append).of("lab").at("outer").step("inner")
    assert [(each.lab, each.stage, each.state) for each in heard if each.text] == [
        ("lab", "copy", "step"),
        ("lab", "outer", "step"),
    ]
