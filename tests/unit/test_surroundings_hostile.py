"""Broken surroundings: whatever they are, labgen ends with a sentence and the right exit code."""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.unit.commands import Ran
from tests.unit.processes import ordinary, process

# How each command ends in an ordinary home without labs. These commands read most of the surroundings.
COMMANDS = {"status nowhere": 2, "create single-node --dry-run": 0}
EVERY_COMMAND = {
    **COMMANDS,
    "--version": 0,
    "--help": 0,
    "list": 0,
    "completion bash": 0,
    "profile list": 0,
    "profile validate single-node": 0,
    "box list": 0,
    "destroy nowhere --yes": 2,
    "stop nowhere": 2,
    "start nowhere": 2,
    "ssh nowhere": 2,
    "exec nowhere -- true": 2,
    "ssh-config nowhere": 2,
    "checkpoint list nowhere": 2,
    "prune --dry-run": 0,
}
NEED_NO_HOME = {"profile validate single-node", "--version", "--help", "completion bash", "profile list"}


@dataclass(frozen=True)
class Around:
    """A difference from ordinary surroundings.

    :param variables: replace an ordinary user's; None: not set. HERE is the test's own directory.
    :param shell: runs labgen. :param prepare: runs before, in the test's own directory.
    :param status: the exit code of all commands that need a home for labs; None: all succeed.
    :param silent: the output goes nowhere, or must not be seen.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    shell: str = 'exec "$@"'
    prepare: str = ""
    status: int | None = None
    silent: bool = False


STREAMS = {
    "no stdin": Around(shell='exec "$@" <&-'),
    "no stdout": Around(shell='exec "$@" >&-', silent=True),
    "no stderr": Around(shell='exec "$@" 2>&-', silent=True),
    "no stream at all": Around(shell='exec "$@" <&- >&- 2>&-', silent=True),
}
VARIABLES = {
    "no variables but one": Around({"PATH": None, "HOME": None, "TERM": None, "LANG": None, "LABGEN_HOME": "HERE"}),
    "an unknown terminal": Around({"TERM": "nonsense"}),
    "columns that are no number": Around({"COLUMNS": "abc", "LINES": "abc"}),
    "negative columns": Around({"COLUMNS": "-5", "LINES": "-5"}),
    "one column": Around({"COLUMNS": "1", "LINES": "1"}),
    "warnings are errors": Around({"PYTHONWARNINGS": "error"}),
    "output in ASCII": Around({"PYTHONIOENCODING": "ascii", "LABGEN_HOME": "HERE/höme"}),
    "a home in bytes that are no text": Around({"LABGEN_HOME": "HERE/h\udcffme"}, status=20),
    "an unknown language": Around({"LANG": "nonsense", "LC_ALL": "xx_YY.nonsense"}),
    "an unknown time zone": Around({"TZ": "Nowhere/Nothing"}),
    "no path": Around({"PATH": ""}),
    "hardly any files": Around(shell='ulimit -n 16; exec "$@"'),
    "no current directory": Around(shell='mkdir $$ && cd $$ && rmdir ../$$ && exec "$@"'),
    "no current directory, but a relative home": Around(
        {"LABGEN_HOME": "relative"}, shell='mkdir $$ && cd $$ && rmdir ../$$ && exec "$@"', status=20
    ),
    "an empty LABGEN_HOME": Around({"LABGEN_HOME": ""}),
    "a relative LABGEN_HOME": Around({"LABGEN_HOME": "relative"}),
    "LABGEN_HOME of an unknown user": Around({"LABGEN_HOME": "~nobody-of-that-name"}, status=20),
    "a dangling LABGEN_HOME": Around({"LABGEN_HOME": "HERE/link"}, prepare="ln -s nowhere link"),
    "a LABGEN_HOME in a circle": Around({"LABGEN_HOME": "HERE/link"}, prepare="ln -s link link", status=20),
    "a file as LABGEN_HOME": Around({"LABGEN_HOME": "HERE/file"}, prepare="echo >file", status=20),
    "a file as HOME": Around({"HOME": "HERE/file"}, prepare="echo >file", status=20),
    "relative XDG directories": Around({"XDG_DATA_HOME": "x", "XDG_CACHE_HOME": "x"}),
    "a directory for temporary files that is not there": Around({"TMPDIR": "/nonexistent"}),
}


HARMLESS = {
    "an unknown terminal",
    "columns that are no number",
    "warnings are errors",
    "an unknown language",
    "an unknown time zone",
    "no path",
    "relative XDG directories",
}


def ran(around: Around, command: str, directory: Path) -> Ran:
    process_home = {**ordinary(directory), **around.variables}
    environment = {
        name: value.replace("HERE", str(directory)) for name, value in process_home.items() if value is not None
    }
    return process(command.split(), environment, shell=around.shell, directory=directory)


def all_ran(around: Around, commands: Mapping[str, int], directory: Path) -> dict[str, Ran]:
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(commands, pool.map(lambda each: ran(around, each, directory), commands), strict=True))


def check(around: Around, commands: Mapping[str, int], directory: Path) -> None:
    prepared = process([], {}, shell=around.prepare or "true", directory=directory)
    assert prepared.status == 0
    for command, each in all_ran(around, commands, directory).items():
        assert "Traceback" not in each.stdout + each.stderr, each.stderr
        expected = commands[command]
        if around.status is not None and command not in NEED_NO_HOME:
            expected = around.status
        assert each.status == expected, f"{command}: {each}"
        if not around.silent:
            assert each.stderr or (expected == 0 and each.stdout), command


@pytest.mark.parametrize("around", [pytest.param(each, id=name) for name, each in (STREAMS | VARIABLES).items()])
def test_strange_surroundings_end_in_a_sentence(around: Around, tmp_path: Path) -> None:
    check(around, COMMANDS, tmp_path)


def test_no_command_minds_what_is_none_of_its_business(tmp_path: Path) -> None:
    """All harmless differences at once."""
    harmless = {
        name: value for name, each in VARIABLES.items() if name in HARMLESS for name, value in each.variables.items()
    }
    check(Around(harmless, shell='ulimit -n 16; exec "$@" <&-'), EVERY_COMMAND, tmp_path)


def test_a_home_that_is_none_is_named(tmp_path: Path) -> None:
    commands = {
        name: EVERY_COMMAND[name] for name in ("list", "box list", "stop nowhere", "prune --dry-run", "--help")
    }
    check(VARIABLES["a LABGEN_HOME in a circle"], commands, tmp_path)


@pytest.mark.parametrize("command", ["--help", "create single-node --dry-run"])
def test_what_cannot_be_printed_is_said(command: str, tmp_path: Path) -> None:
    failed = ran(Around(shell='exec "$@" >/dev/full'), command, tmp_path)
    assert (failed.status, failed.stderr.splitlines()[-1]) == (1, "error: No space left on device")


@pytest.mark.parametrize(("command", "status"), [("status nowhere", 2), ("create single-node -x", 2)])
def test_an_error_that_cannot_be_said_has_its_exit_code(command: str, status: int, tmp_path: Path) -> None:
    assert ran(Around(shell='exec "$@" 2>/dev/full'), command, tmp_path) == Ran(status, "", "")


def test_the_shells_completion_is_never_in_the_way(tmp_path: Path) -> None:
    for name in (
        "no variables but one",
        "a LABGEN_HOME in a circle",
        "a file as HOME",
        "no current directory",
        "warnings are errors",
    ):
        around = VARIABLES[name]
        asked = {"_LABGEN_COMPLETE": "bash_complete", "COMP_WORDS": "labgen status ", "COMP_CWORD": "2"}
        completed = ran(replace(around, variables={**around.variables, **asked}), "", tmp_path)
        assert (completed.status, completed.stderr) == (0, "")


def test_progress_that_cannot_be_said_stops_nothing() -> None:
    said = (
        "from labgen.cli.console import progress\nwith progress() as shown:\n    shown.step('booting')\nprint('done')"
    )
    command = ["/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh", sys.executable, "-c", said]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout == b"done\n"


def test_a_stream_that_was_closed_meanwhile_is_one_where_nothing_can_be_said() -> None:
    said = "import sys\nfrom labgen.cli import streams\nsys.stdout.close()\nsys.exit(streams.flushed(0))"
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
