"""labgen profile."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from labgen import paths
from labgen.cli.profile import complete_profiles, profile
from labgen.errors import ProfileError, UsageError
from labgen.profile import parse, shipped

GOOD = "name: lab\nnodes: {manager: {role: manager}}\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(profile, arguments)


def test_list() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["NAME", *shipped()]


def test_list_as_json() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--format", "json").stdout)}
    assert rows["three-node-btrfs"]["driver"] == "btrfs"
    assert rows["five-node-ha"]["nodes"] == 5
    assert rows["five-node-ha"]["managers"] == 3
    assert rows["five-node-ha"]["memory_mib"] == 5120


def test_show_prints_what_loads_again() -> None:
    result = run("show", "three-node-btrfs", "--set", "nodes.worker.count=4")
    assert parse(result.stdout, "shown").profile.nodes["worker"].count == 4


def test_show_warns_on_stderr() -> None:
    result = run("show", "single-node", "--set", "nodes.manager.count=2")
    assert "odd number" in result.stderr
    assert "odd number" not in result.stdout


def test_show_refuses() -> None:
    assert isinstance(run("show", "single-node", "--set", "box=no").exception, ProfileError)
    assert isinstance(run("show", "single-node", "--set", "box").exception, UsageError)


def test_validate_several() -> None:
    result = run("validate", *shipped())
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{name}: ok" for name in shipped()]


def test_validate_warns_and_is_ok(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(GOOD.replace("role: manager", "role: manager, count: 2"))
    result = run("validate", str(tmp_path / "lab.yaml"))
    assert result.exit_code == 0
    assert result.stdout.endswith("lab.yaml: ok\n")
    assert result.stderr.startswith("warning: ")


def test_validate_one_wrong_among_good_ones(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("colour: red\n")
    result = run("validate", "single-node", str(tmp_path / "bad.yaml"), "five-node-ha")
    assert result.stdout.splitlines() == ["single-node: ok", "five-node-ha: ok"]
    assert isinstance(result.exception, ProfileError)
    assert len(result.exception.details.splitlines()) == 3


def test_validate_shows_the_errors_of_all(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("colour: red\n")
    error = run("validate", "singel-node", str(tmp_path / "bad.yaml"), "single-node").exception
    assert isinstance(error, ProfileError)
    assert error.brief == "2 of 3 profiles are not valid"
    assert "there is no profile named 'singel-node'" in error.details
    assert "colour" in error.details


def test_validate_wants_something() -> None:
    assert run("validate").exit_code == 2


def test_schema() -> None:
    assert json.loads(run("schema").stdout)["properties"]["storage"]["description"]


@pytest.mark.parametrize("command", ["list", "show", "validate", "schema"])
def test_help_has_examples(command: str) -> None:
    assert "labgen profile " + command in run(command, "--help").stdout


def completed(incomplete: str) -> list[tuple[str, str]]:
    context = click.Context(profile.commands["show"])
    return [(item.value, item.type) for item in complete_profiles(context, context.command.params[0], incomplete)]


def test_completion() -> None:
    assert completed("three") == [
        ("three-node-balancer", "plain"),
        ("three-node-balancers", "plain"),
        ("three-node-btrfs", "plain"),
        ("three-node-btrfs-client", "plain"),
        ("three-node-overlay2", "plain"),
        ("three-node-registry", "plain"),
    ]
    assert completed("./la") == [("./la", "file")]
    assert {value for value, _ in completed("")} == set(shipped())


def test_no_shipped_profiles_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "shipped_profiles", lambda: tmp_path / "none")
    assert completed("x") == [("x", "file")]
    assert run("list", "--format", "json").stdout == "[]\n"


def test_the_command_line_loads_without_pydantic_and_yaml() -> None:
    program = "import sys, labgen.cli.profile; print({'pydantic', 'ruamel.yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
