"""Text in every locale: the same files, the same names, and no character that ends labgen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labgen.records import data_home, journals
from labgen.records.journals import Journal
from tests.unit.labs import planned
from tests.unit.terminal import on_terminal

UMLAUTS = "name: mine\ndescription: Größe für Übungen\nnodes: {manager: {role: manager}}\n"
# For these, Python chooses UTF-8 by itself, unless it is prevented.
PLAIN = [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LANG": "POSIX"}]


@pytest.fixture(scope="session")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a user whose locale is ISO-8859-1."""
    directory = tmp_path_factory.mktemp("locale")
    source = ["-i", "de_DE", "-f", "ISO-8859-1"]
    if not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no source of de_DE: install locales")
    subprocess.run(["localedef", *source, directory / "de_DE.ISO-8859-1"], check=True, capture_output=True)
    return {"LOCPATH": str(directory), "LC_ALL": "de_DE.ISO-8859-1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "Größe"
    monkeypatch.setenv("LABGEN_HOME", str(directory))
    return directory


def labgen(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LABGEN_HOME")}
    command = [sys.executable, "-m", "labgen", *arguments]
    return subprocess.run(command, env={**kept, **variables}, capture_output=True, check=False)


@pytest.fixture(params=[*range(len(PLAIN)), "latin1"])
def variables(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "latin1":
        return dict(request.getfixturevalue("latin1"))
    return PLAIN[request.param]


def test_a_locale_changes_neither_files_nor_names(home: Path, variables: dict[str, str], tmp_path: Path) -> None:
    profile = tmp_path / "Übung.yaml"
    profile.write_text(UMLAUTS)
    written = {}
    for about, chosen in {"UTF-8": {"LC_ALL": "C.UTF-8"}, "other": variables}.items():
        directory = tmp_path / about
        rendered = labgen(chosen, "render", str(profile), str(directory))
        assert rendered.returncode == 0, rendered.stderr
        written[about] = {
            path.relative_to(directory): path.read_bytes().replace(bytes(directory), b"")
            for path in directory.rglob("*")
            if path.is_file()
        }
    assert written["other"] == written["UTF-8"]
    assert "Größe für Übungen".encode() in written["other"][Path("Vagrantfile")]
    assert data_home.owner_of_path().encode() in written["other"][Path("network.xml")]


def test_what_is_printed_for_ssh_names_the_right_files(home: Path, variables: dict[str, str]) -> None:
    journals.save(Journal(planned()))
    printed = labgen(variables, "ssh-config", "lab")
    assert f'IdentityFile "{home}/data/labs/lab/id_ed25519"'.encode() in printed.stdout


@pytest.mark.parametrize("argument", [b"\xff", "Größe".encode(), "✓".encode()])
def test_any_argument_ends_in_a_sentence(home: Path, variables: dict[str, str], argument: bytes) -> None:
    refused = labgen(variables, "status", os.fsdecode(argument))
    assert refused.returncode == 2
    assert refused.stderr.startswith(b"error: there is no lab named ")


def test_an_encoding_that_lacks_a_character_ends_nothing(home: Path) -> None:
    refused = labgen({"PYTHONIOENCODING": "iso-8859-1", "LC_ALL": "C.UTF-8"}, "status", "✓")
    assert refused.stderr.startswith(b"error: there is no lab named '?'")


def test_a_terminal_gets_what_it_can_show(home: Path, latin1: dict[str, str], tmp_path: Path) -> None:
    variables = {**latin1, "LABGEN_HOME": str(home)}
    with on_terminal(["labgen", "status", "Größe"], environment=variables) as (terminal, _):
        terminal.wait_for_end()
    assert "Größe".encode("iso-8859-1") in terminal.raw
    script = tmp_path / "live"
    script.write_text(
        "from labgen.cli import encoding\nencoding.settle()\n"
        "from labgen.cli.console import progress\nwith progress() as shown:\n    shown.done('fertig', 'größe')\n"
    )
    with on_terminal([sys.executable, str(script)], environment=variables) as (terminal, _):
        terminal.wait_for_end()
    assert "größe".encode("iso-8859-1") in terminal.raw
    assert b"?" in terminal.raw  # instead of the tick
    assert b"Error" not in terminal.raw
