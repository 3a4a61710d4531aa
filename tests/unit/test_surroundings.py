"""The user's surroundings: which of them reach the programs that labgen runs."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labgen import disks, paths, surroundings, vagrant
from labgen.errors import HypervisorError
from labgen.host import LOCAL
from labgen.render import vagrantfile, write
from labgen.ssh import make_key
from tests.unit.labs import planned

PACKAGE = Path(paths.__file__).parent
# Where the code reads labgen's own settings, the terminal's abilities, a shell's request for completion, and the
# variables that a compose file may use.
READ_IT = {"paths.py", "subnets.py", "surroundings.py", "cli/__init__.py", "cli/console.py", "cli/stack.py"}
STRANGE = {
    "VAGRANT_CWD": "/nonexistent",
    "VAGRANT_VAGRANTFILE": "Other",
    "VAGRANT_DOTFILE_PATH": "/nonexistent/dot",
    "VAGRANT_DEFAULT_PROVIDER": "virtualbox",
    "VAGRANT_LOG": "debug",
    "LIBVIRT_DEFAULT_URI": "qemu:///session",
    "RUBYOPT": "-rnonexistent",
    "TAR_OPTIONS": "--nonexistent",
    "POSIXLY_CORRECT": "1",
    "SOURCE_DATE_EPOCH": "0",
    "SSH_AUTH_SOCK": "/nonexistent/agent",
    "LC_ALL": "de_DE.ISO-8859-1",
}


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_program_gets_an_environment_that_was_chosen(path: Path) -> None:
    started = [call for call in calls(path) if ast.unparse(call.func).startswith(("subprocess.", "os.posix_spawn"))]
    started = [call for call in started if not ast.unparse(call.func).endswith(("Error", "Expired"))]
    without = [ast.unparse(call) for call in started if "env" not in {word.arg for word in call.keywords}]
    assert without == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_users_environment_is_read_in_few_places(path: Path) -> None:
    read = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    if str(path.relative_to(PACKAGE)) not in READ_IT:
        assert read & {"os.environ", "os.getenv", "os.environb"} == set()


def test_what_is_not_listed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STRANGE.items():
        monkeypatch.setenv(name, value)
    passed_on = surroundings.environment()
    assert {name for name in STRANGE if passed_on.get(name) == STRANGE[name]} == set()
    assert passed_on["LC_ALL"] == "C.UTF-8"
    assert passed_on["HOME"] == os.environ["HOME"]
    assert surroundings.environment(surroundings.KEY_AGENT)["SSH_AUTH_SOCK"] == "/nonexistent/agent"


@pytest.mark.parametrize("value", ["/nonexistent", "", "relative"])
def test_a_useless_directory_for_temporary_files_is_not_passed_on(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", value)
    monkeypatch.setattr("tempfile.tempdir", None)
    assert Path(surroundings.environment()["TMPDIR"]).is_dir()
    assert Path(surroundings.environment()["TMPDIR"]).is_absolute()


@pytest.mark.parametrize("path", ["", None])
def test_programs_of_the_system_are_found_without_a_path(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if path is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", path)
    searched = surroundings.environment()["PATH"].split(":")
    assert {"/bin", "/usr/sbin"} <= set(searched)
    assert "" not in searched


def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Path:
    """Replaces a program with one that records its environment."""
    stand_in = tmp_path / "bin" / program
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f"#!/bin/sh\nenv >{tmp_path}/environment\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    return tmp_path / "environment"


def test_neither_vagrant_nor_qemu_img_sees_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABGEN_CANARY", "here")
    for name, value in STRANGE.items():
        monkeypatch.setenv(name, value)
    record = recorded(tmp_path, monkeypatch, "vagrant")
    with pytest.raises(HypervisorError):
        vagrant.validate(tmp_path)
    seen = dict(line.split("=", 1) for line in record.read_text().splitlines())
    assert seen["VAGRANT_HOME"] == str(paths.vagrant_view())
    record = recorded(tmp_path, monkeypatch, "qemu-img")
    with pytest.raises(Exception, match="qemu-img rebase failed"):
        disks.attach(tmp_path / "overlay", tmp_path / "base")
    seen |= dict(line.split("=", 1) for line in record.read_text().splitlines())
    assert {name for name in STRANGE if seen.get(name) == STRANGE[name]} == set()
    assert "LABGEN_CANARY" not in seen


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A lab's directory, as far as Vagrant reads it."""
    directory = tmp_path / "lab"
    directory.mkdir()
    write({"Vagrantfile": vagrantfile(planned(reference="single-node"), LOCAL.libvirt)}, directory)
    (directory / "logs").mkdir()
    make_key(directory / "id_ed25519", "labgen lab")
    for script in planned(reference="single-node").node("manager1").steps:
        write({f"guest/{script.script}": "#!/bin/sh\n"}, directory)
    return directory


@pytest.mark.skipif(not shutil.which("vagrant"), reason="needs Vagrant")
def test_the_users_own_settings_do_not_reach_real_vagrant(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VAGRANT_CWD", "VAGRANT_VAGRANTFILE", "VAGRANT_DOTFILE_PATH", "VAGRANT_DEFAULT_PROVIDER", "RUBYOPT"):
        monkeypatch.setenv(name, STRANGE[name])
    own = paths.vagrant_home() / "Vagrantfile"
    own.parent.mkdir(parents=True)
    own.write_text(f"File.write('{tmp_path}/evaluated', '')\nraise 'the user has changed the lab'\n")
    vagrant.validate(project)
    assert not (tmp_path / "evaluated").exists()
    # A mistake in the lab's own Vagrantfile is found: the right file was checked.
    (project / "Vagrantfile").write_text("Vagrant.configure('2') { |config| config.vm.nonsense = 1 }\n")
    with pytest.raises(HypervisorError, match="checking the Vagrantfile"):
        vagrant.validate(project)


def test_vagrants_store_is_shared_but_for_its_vagrantfile(monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant.environment()
    (paths.vagrant_home() / "data" / "new").write_text("seen by both")
    assert (paths.vagrant_view() / "data" / "new").read_text() == "seen by both"
    monkeypatch.setenv("VAGRANT_HOME", str(paths.data_home() / "elsewhere"))
    vagrant.environment()
    assert (paths.vagrant_view() / "boxes").resolve() == paths.data_home() / "elsewhere" / "boxes"


def test_libvirts_own_variables_do_not_reach_the_library() -> None:
    program = "from labgen import hypervisor\nimport libvirt\nlibvirt.open('test:///default')"
    talkative = {**os.environ, "LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": "1:stderr"}
    said = subprocess.run([sys.executable, "-c", program], env=talkative, capture_output=True, check=True).stderr
    assert said == b""
