"""The command line: output streams, exit codes, and no traceback for an expected failure."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labgen import cli, paths
from labgen.cli import console
from labgen.cli.live import LiveProgress
from labgen.cli.plain import PlainProgress
from labgen.errors import HostError
from labgen.progress import Event, Progress
from labgen.records import journals, templates
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)], ids=" ".join)
def test_every_command_explains_itself(run: Run, command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.status == 0
    assert len(max(shown.stdout.splitlines(), key=len)) <= 80


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name not in {"profile", "box"}])
def test_every_command_shows_an_example(run: Run, name: str) -> None:
    assert f"labgen {name}" in run(name, "--help").stdout


def test_help_loads_no_slow_library() -> None:
    code = (
        "import sys; from labgen.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('pydantic', 'paramiko', 'docker', 'libvirt', 'rich', 'jinja2', 'ruamel')"
        " if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


def test_create_status_exec_stop_start_destroy(host: Host, run: Run) -> None:
    made = run("create", "three-node-btrfs", "--name", "lab")
    assert made.status == 0
    assert "labgen ssh lab manager1" in made.stdout
    assert "manager1: ready" in made.stderr
    assert "nothing to do" in run("create", "three-node-btrfs", "--name", "lab").stdout

    assert json.loads(run("status", "lab", "--format", "json").stdout)["state"] == "running"
    table = run("status", "lab").stdout
    assert "ready (leader)" in table
    assert len(max(table.splitlines(), key=len)) <= 80
    assert json.loads(run("list", "--format", "json").stdout)[0]["name"] == "lab"

    executed = run("exec", "lab", "--", "echo", "-n", "x")
    assert executed.status == 2  # the highest of 1, 1, 2: the fake machines exit with their number
    assert "worker2: echo -n x" in executed.stdout
    assert run("exec", "lab", "--node", "worker1", "--", "true").stdout == "true"
    assert run("exec", "lab", "--node", "worker1", "--all", "--", "true").status == 2

    assert "Host worker2" in run("ssh-config", "lab").stdout
    assert "[managers]\nmanager1 ansible_host=10.77.0.11" in run("inventory", "lab").stdout

    assert run("stop", "lab").stdout == "lab is stopped\n"
    assert run("start", "lab").stdout == "lab is running\n"
    assert run("destroy", "lab", "--yes").stdout == "lab is destroyed\n"
    assert run("list", "--format", "json").stdout == "[]\n"


def test_suspend_resume_and_checkpoints(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    assert "lab is suspended" in run("suspend", "lab").stdout
    assert run("stop", "lab").status == 2
    assert "lab is running" in run("resume", "lab").stdout
    assert "checkpoint one" in run("checkpoint", "save", "lab", "one").stdout
    assert run("checkpoint", "save", "lab").status == 0  # its label is the time
    rows = json.loads(run("checkpoint", "list", "lab", "--format", "json").stdout)
    assert rows[0]["label"] == "one"
    assert len(rows) == 2
    assert "is restored to one" in run("checkpoint", "restore", "lab", "one", "--yes").stdout
    assert run("checkpoint", "restore", "lab", "two", "--yes").status == 2
    assert "deleted checkpoint" in run("checkpoint", "delete", "lab", "one").stdout


def test_export_and_import(host: Host, run: Run, tmp_path: Path) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    file = tmp_path / "lab.labgen"
    assert "KiB" in run("export", "lab", "--depth", "recipe", "-o", str(file)).stdout
    imported = run("import", str(file), "--name", "second")
    assert "labgen start second" in imported.stdout
    assert "is not signed" in imported.stderr
    assert "addresses are in use" in imported.stderr
    file.write_bytes(b"no bundle")
    assert run("import", str(file), "--name", "third").status == 70


def test_ssh_becomes_the_users_ssh(host: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    called: list[Any] = []
    monkeypatch.setattr(os, "execvp", lambda *arguments: called.append(arguments))
    run("ssh", "lab")
    run("ssh", "lab", "worker1", "docker", "node", "ls", "-q")
    for (program, words), node, command in zip(
        called, ["manager1", "worker1"], [[], ["--", "docker", "node", "ls", "-q"]], strict=True
    ):
        assert (program, words[:3]) == ("ssh", ["ssh", "-F", "none"])
        assert words[words.index(f"{node}.lab") + 1 :] == command
    assert run("ssh", "lab", "worker7").status == 2


def test_a_failure_says_how_to_go_on(host: Host, run: Run) -> None:
    host.failing_script = "docker.sh"
    failed = run("create", "three-node-btrfs", "--name", "lab")
    assert failed.status == 50
    assert "what went wrong" in failed.stderr
    assert "labgen create three-node-btrfs --name lab" in failed.stderr
    assert "labgen destroy lab" in failed.stderr
    assert failed.stdout == ""


def test_going_on_keeps_the_settings(host: Host, run: Run) -> None:
    host.failing_script = "docker.sh"
    failed = run("create", "three-node-btrfs", "--name", "lab", "--set", "nodes={m: {role: manager}}")
    assert "labgen create three-node-btrfs --name lab --set 'nodes={m: {role: manager}}'" in failed.stderr


def test_going_on_keeps_the_file_and_cold(
    host: Host, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command works from any directory, and every verb that cannot continue shows the same one."""
    profile = tmp_path / "my lab.yaml"
    profile.write_text("name: mine\nnodes: {manager: {role: manager}}\nstorage: {driver: btrfs}\n")
    monkeypatch.chdir(tmp_path)
    host.failing_script = "docker.sh"
    again = f"labgen create '{profile}' --name lab --set resources.memory=2GiB --cold"
    failed = run("create", "./my lab.yaml", "--name", "lab", "--set", "resources.memory=2GiB", "--cold")
    assert f"To resume the failed create: {again}\n" in failed.stderr
    assert again in run("checkpoint", "save", "lab", "x").stderr
    host.failing_script = ""
    assert run("start", "lab").status == 0
    assert templates.every() == [], "it was asked for --cold"


def test_a_lab_that_was_never_made_is_resumed_as_it_was_asked_for(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab", "--cold")
    journals.save(replace(journals.load("lab"), stage="planned"))
    assert "labgen create three-node-btrfs --name lab --cold" in run("start", "lab").stderr


def test_a_refusal_promises_nothing_about_the_lab_that_is_there(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    refused = run("create", "single-node", "--name", "lab")
    assert refused.status == 2
    assert "Resume it" not in refused.stderr


def test_a_rollback_says_that_nothing_is_left(host: Host, run: Run) -> None:
    host.failing_script = "docker.sh"
    failed = run("create", "three-node-btrfs", "--name", "lab", "--on-failure", "rollback")
    assert failed.status == 50
    assert "has been removed" in failed.stderr
    assert journals.names() == []


def test_ctrl_c_is_a_normal_end(host: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labgen.orchestrators.swarm.Swarm.form", interrupt)
    stopped = run("create", "three-node-btrfs", "--name", "lab")
    assert stopped.status == 130
    assert "labgen destroy lab" in stopped.stderr


def test_a_refused_repair_does_not_send_to_destroy(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    lost = next(name for name in host.volumes() if name.endswith("_worker1.img"))
    host.libvirt.storagePoolLookupByName("labgen").storageVolLookupByName(lost).delete()
    refused = run("create", "three-node-btrfs", "--name", "lab")
    assert refused.status == 40
    assert "labgen rebuild lab worker1" in refused.stderr
    assert "destroy" not in refused.stderr
    assert "removed" not in run("create", "three-node-btrfs", "--name", "lab", "--on-failure", "rollback").stderr


def test_prune_shows_and_removes(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lost")
    for record in (paths.STATE, paths.PROFILE):
        (paths.lab("lost") / record).unlink()
    before = (host.domains(), host.volumes())
    stays = run("prune", "--yes")
    assert "nothing to remove" in stays.stderr
    assert "labgen destroy lost" in stays.stderr
    assert (host.domains(), host.volumes()) == before
    paths.incoming("lost").mkdir()  # as left by an interrupted import
    shown = run("prune", "--yes", "--format", "json")
    assert {row["kind"] for row in json.loads(shown.stdout)} == {
        "domain",
        "network",
        "volume",
        "directory",
        "subnet reservation",
    }
    assert "nothing to remove" in run("prune").stderr


def test_dry_run_prints_everything_and_makes_nothing(host: Host, run: Run, home: Path) -> None:
    shown = run("create", "three-node-btrfs", "--dry-run")
    assert shown.status == 0
    assert "--- Vagrantfile" in shown.stdout
    assert "10.77.0.13" in shown.stdout
    assert not home.exists()
    assert host.domains() == set()


def test_render_writes_into_an_empty_directory_only(host: Host, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "lab"
    assert run("render", "single-node", str(target)).status == 0
    assert (target / "guest" / "docker.sh").is_file()
    assert run("render", "single-node", str(target)).status == 1


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["create", "tree-node-btrfs"], 10),
        (["create", "single-node", "--name", "Bad_Name"], 10),
        (["create", "single-node", "--name", "../x"], 10),
        (["create", "single-node", "--set", "resources.memory=64MiB"], 10),
        (["create", "single-node", "--set", "nonsense"], 2),
        (["create", "single-node", "--on-failure", "maybe"], 2),
        (["status", "nowhere"], 2),
        (["status", "../../etc"], 2),
        (["destroy", "nowhere", "--yes"], 2),
        (["ssh", "nowhere"], 2),
        (["exec", "nowhere", "--", "true"], 2),
        (["start", "nowhere"], 2),
        (["stop", "nowhere"], 2),
        (["inventory", "nowhere"], 2),
    ],
)
def test_bad_input_makes_nothing(host: Host, run: Run, home: Path, arguments: list[str], status: int) -> None:
    refused = run(*arguments)
    assert refused.status == status
    assert refused.stderr
    assert refused.stdout == ""
    assert not paths.labs().exists() or list(paths.labs().iterdir()) == []


def test_a_host_that_is_not_ready_is_refused_before_anything_is_made(
    host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_profile: object, _host: object) -> None:
        raise HostError("this host is not ready", "memory: 64 MiB", "labgen doctor")

    monkeypatch.setattr("labgen.lab.doctor.require_ready", refuse)
    refused = run("create", "single-node")
    assert refused.status == 20
    assert "memory: 64 MiB" in refused.stderr
    assert journals.names() == []


def test_a_full_disk_is_a_sentence(host: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failed = run("create", "single-node")
    assert failed.status == 1
    assert "No space left on device" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_no_colour_and_no_spinner_where_there_is_no_terminal(host: Host, run: Run) -> None:
    made = run("create", "three-node-btrfs")
    assert "\x1b" not in made.stdout + made.stderr


def test_progress_on_a_terminal_keeps_its_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveProgress() as live:
        shown = Progress(live.hear)
        shown.step("booting", "manager1")
        shown.note("[this] stays as it is")
        shown.done("ready", "manager1")
        shown.step("forming the cluster")
    assert "[this] stays as it is" in capsys.readouterr().err


def test_what_machines_say_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    with LiveProgress() as live:
        Progress(live.hear).note(hostile)
    console.fail(HostError(hostile, hostile, hostile))
    console.note(hostile)
    with console.progress() as plain:
        plain.step(hostile, "node")
        plain.note(hostile)
    said = capsys.readouterr().err
    assert said.count("owned") == 7
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)


def test_a_reader_that_went_away_is_no_error(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "labgen", "profile", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
    assert errors == b""
    assert process.returncode == 141


def test_plain_progress_has_the_node_and_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as shown:
        shown.step("booting", "worker1")
        time.sleep(0.01)
        shown.note("as it is")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("s  worker1: booting")
    assert lines[1].endswith("s  as it is")


def test_plain_progress_computes_bytes_and_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    told = PlainProgress()
    for second, done in enumerate((0, 10, 30)):
        for node in ("worker1", None):
            moment = began + timedelta(seconds=second)
            told.hear(Event(moment, "step", "copy", "copying", "lab", node, done * 2**20, 40 * 2**20))
    told.hear(Event(began + timedelta(hours=1), "step", "copy", "copying", "lab", None, 0, 40 * 2**20))
    told.hear(Event(began + timedelta(hours=1, seconds=2), "step", "copy", "copying", "lab", None, 2**20, 40 * 2**20))
    said = [line.partition("s  ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said[::2] == [f"worker1: {each}" for each in said[1:6:2]] + ["copying"]
    assert said[1:6:2] == ["copying", "copying: 10 of 40 MiB, 3 s left", "copying: 30 of 40 MiB, 1 s left"]
    assert said[-1] == "copying: 1 of 40 MiB, 78 s left"  # of a second copy, which began from zero


def test_what_only_programs_need_to_know_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as plain:
        plain.of("lab").at("form-cluster")
    with LiveProgress() as live:
        Progress(live.hear).step("forming the cluster")
        Progress(live.hear).of("lab").at("form-cluster")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "forming the cluster" in said[0]
