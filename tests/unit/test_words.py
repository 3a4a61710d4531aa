"""Other tools' words, mistyped words, and the help of each command."""

import click
import pytest

from labgen import cli
from labgen.cli.group import ALIASES, INSTEAD
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures


def groups() -> list[click.Context]:
    top = click.Context(cli.cli, info_name="labgen")
    return [top, *(each for each in _below(top) if isinstance(each.command, click.Group))]


def _below(context: click.Context) -> list[click.Context]:
    assert isinstance(context.command, click.Group)
    commands = {name: context.command.get_command(context, name) for name in context.command.list_commands(context)}
    return [click.Context(command, parent=context, info_name=name) for name, command in commands.items() if command]


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.command_path)
def test_no_summary_in_the_help_is_cut_off(group: click.Context) -> None:
    assert "..." not in group.get_help().partition("\nCommands:")[2]


@pytest.mark.parametrize(
    "group", [group for group in groups() if group.info_name in ALIASES], ids=lambda g: g.info_name
)
def test_no_alias_hides_a_command_and_each_leads_to_one(group: click.Context) -> None:
    assert isinstance(group.command, click.Group)
    known = set(group.command.list_commands(group))
    words, instead = ALIASES[group.info_name or ""], INSTEAD.get(group.info_name or "", {})
    assert set(words.values()) <= known
    assert not known & (words.keys() | instead.keys())
    assert not words.keys() & instead.keys()


@pytest.mark.parametrize("sentence", INSTEAD["labgen"].values())
def test_what_to_run_instead_can_be_run(sentence: str) -> None:
    """Each quoted labgen command is valid."""
    quoted = [each.split() for each in sentence.split("'") if each.startswith("labgen ")]
    assert quoted
    for _, name, *rest in quoted:
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command
        if isinstance(command, click.Group):
            assert rest[0] in command.commands


@pytest.mark.parametrize(
    ("word", "meant"),
    [("lsit", "list"), ("craete", "create"), ("destory", "destroy"), ("strat", "start"), ("exce", "exec")],
)
def test_a_mistyped_command_is_guessed(run: Run, word: str, meant: str) -> None:
    wrong = run(word)
    assert wrong.status == 2
    assert f"Did you mean {meant}" in wrong.stderr
    assert wrong.stdout == ""


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("delete", "create"),
        ("run", "prune"),
        ("rm", "resume"),
        ("up", "suspend"),
        ("reset", "create"),
        ("rum", "prune"),
    ],
)
def test_no_suggestion_does_the_opposite(run: Run, word: str, other: str) -> None:
    assert f"Did you mean {other}" not in run(word).stderr


def test_a_mistyped_subcommand_is_guessed(run: Run) -> None:
    wrong = run("checkpoint", "resotre", "lab")
    assert wrong.status == 2
    assert "Did you mean restore?" in wrong.stderr
    assert "labgen checkpoint --help" in wrong.stderr


def test_words_of_other_tools_work_where_they_mean_the_same(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "lab")
    assert "lab" in run("ls").stdout
    assert run("snapshot", "create", "lab", "one").status == 0
    assert "one" in run("snapshot", "ls", "lab").stdout
    assert run("snapshot", "rm", "lab", "one").stdout == "deleted checkpoint one of lab\n"
    assert run("halt", "lab").stdout == "lab is stopped\n"
    assert run("rm", "lab").status == 2  # destroy asks, and nobody is here to answer
    assert run("delete", "lab", "--yes").stdout == "lab is destroyed\n"


@pytest.mark.parametrize(
    ("word", "right"), [("up", "labgen create"), ("down", "labgen stop"), ("ps", "labgen status")]
)
def test_words_that_mean_something_else_name_the_right_command(run: Run, word: str, right: str) -> None:
    wrong = run(word, "lab")
    assert wrong.status == 2
    assert right in wrong.stderr
    assert wrong.stdout == ""


def test_help_and_version_work_as_commands(run: Run) -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "create").stdout == run("create", "--help").stdout
    assert run("help", "snapshot", "rm").stdout == run("checkpoint", "delete", "--help").stdout
    assert run("help", "nonsense").status == 2
    assert run("help", "create", "more").status == 2
    assert run("version").stdout == run("--version").stdout


def test_aliases_are_not_in_the_help(run: Run) -> None:
    shown = run("--help").stdout.partition("Commands:")[2]
    assert not {"ls", "rm", "halt", "help", "version"} & {line.split()[0] for line in shown.splitlines() if line}
