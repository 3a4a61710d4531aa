"""After ``sudo labgen``: root's files in a user's own home. Run as a user who may not touch them."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen import paths
from labgen.records import data_home, journals, registry
from labgen.records.journals import Journal
from labgen.records.registry import Registry
from labgen.render import write
from tests.unit.commands import Ran
from tests.unit.labs import planned
from tests.unit.processes import ordinary, process

USER = "nobody"
AS_USER = ["setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups"]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user"),
    pytest.mark.skipif(
        os.geteuid() == 0
        and bool(subprocess.run([*AS_USER, sys.executable, "-c", "import labgen"], check=False).returncode),
        reason="another user cannot read this checkout",
    ),
]


@pytest.fixture
def user_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's home with a lab and a template in it; everything in it belongs to the user."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's directories are closed to other users
        Path(directory).chmod(0o755)
        yield filled(Path(directory) / "user", monkeypatch)


def filled(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LABGEN_HOME")
    monkeypatch.setenv("HOME", str(user_home))
    data_home.owner()
    journals.save(Journal(planned(), "verified"))
    write(
        {paths.PROFILE: "", paths.KNOWN_HOSTS: "", "logs/x": "", paths.KEY: "", f"{paths.KEY}.pub": ""},
        paths.lab("lab"),
    )
    registry.save(Registry({"lab": "10.77.0.0/24"}))
    with journals.locked("lab"), registry.locked():
        pass
    write({"data/machine-index/index": "{}", "data/machine-index/index.lock": ""}, paths.vagrant_home())
    paths.templates().mkdir(parents=True)
    give(user_home, USER)
    return user_home


def give(path: Path, user: str) -> None:
    subprocess.run(["chown", "-Rh", user, path], check=True)


def as_user(user_home: Path, *arguments: str, **environment: str) -> Ran:
    return process(arguments, {**ordinary(user_home), **environment}, prefix=AS_USER)


COMMANDS = {
    "list": ["list"],
    "status": ["status", "lab"],
    "stop": ["stop", "lab"],
    "create": ["create", "single-node"],
    "destroy": ["destroy", "lab", "--yes"],
    "prune": ["prune", "--yes"],
    "checkpoint": ["checkpoint", "save", "lab"],
    "dry run": ["create", "single-node", "--dry-run"],
}
DATA, LAB = ".local/share/labgen", ".local/share/labgen/labs/lab"
# The files that sudo has left, the commands that they stop, and the file that these name.
LEFT = [
    (DATA, ["stop", "create"], f"{DATA}/locks"),
    (f"{DATA}/locks/lab.lock", ["stop", "destroy"], f"{DATA}/locks/lab.lock"),
    (LAB, ["checkpoint", "destroy"], LAB),
    (f"{LAB}/logs", ["destroy"], f"{LAB}/logs"),
    (f"{DATA}/registry.lock", ["destroy"], f"{DATA}/registry.lock"),
    (".vagrant.d/data/machine-index/index.lock", ["destroy"], ".vagrant.d/data/machine-index/index.lock"),
]
# The same for a root user whose umask keeps others from reading.
UNREADABLE = [
    (DATA, ["list", "create"], DATA),
    (f"{DATA}/labs", ["prune"], f"{DATA}/labs"),
    (LAB, ["list", "status"], LAB),
    (f"{LAB}/lab.json", ["list", "stop"], f"{LAB}/lab.json"),
    (f"{DATA}/registry.json", ["dry run"], f"{DATA}/registry.json"),
    (f"{DATA}/identity.json", ["destroy"], f"{DATA}/identity.json"),
]
CASES = [
    pytest.param(left, command, named, mode, id=f"{command}, {left}, {mode:o}")
    for table, mode in ((LEFT, 0o755), (UNREADABLE, 0o700))
    for left, commands, named in table
    for command in commands
]


def tree(directory: Path) -> dict[Path, bytes]:
    """Everything but the events, which also record refused commands."""
    files = [path for path in directory.rglob("*") if path.name != "events.jsonl"]
    return {path: path.read_bytes() if path.is_file() else b"" for path in files}


@pytest.mark.parametrize(("left", "command", "named", "mode"), CASES)
def test_it_is_named_with_its_owner_and_the_way_out(
    user_home: Path, left: str, command: str, named: str, mode: int
) -> None:
    path = user_home / left
    if not path.exists():
        path.touch()
    give(path, "root")
    path.chmod(mode)
    before = tree(user_home)
    ran = as_user(user_home, *COMMANDS[command])
    assert "Traceback" not in ran.stderr
    assert ran.status == 20, ran
    assert f"error: {user_home / named} belongs to root, and labgen runs as {USER}" in ran.stderr
    assert tree(user_home) == before
    way_out = ran.stderr.splitlines()[-2 if command == "destroy" else -1].partition(": sudo ")[2]
    assert way_out == f"chown -R {USER} {path}"
    subprocess.run(shlex.split(way_out), check=True)
    assert "belongs to" not in as_user(user_home, *COMMANDS[command]).stderr


def test_the_whole_of_what_sudo_made_is_given_back(user_home: Path) -> None:
    """Even if it created the first directory of all."""
    shutil.rmtree(user_home / ".local")
    (user_home / DATA / "labs").mkdir(parents=True)
    ran = as_user(user_home, "create", "single-node")
    assert ran.status == 20
    assert f"sudo chown -R {USER} {user_home}/.local\n" in ran.stderr


def test_a_directory_that_is_more_than_labgens_is_not_given_away(user_home: Path) -> None:
    (user_home.parent / "srv").mkdir(mode=0o755)
    ran = as_user(user_home, "create", "single-node", LABGEN_HOME=f"{user_home.parent}/srv/lab")
    assert ran.status == 20
    assert f"{user_home.parent}/srv belongs to root" in ran.stderr
    assert "chown" not in ran.stderr
    assert "set LABGEN_HOME to another directory" in ran.stderr


def test_the_home_of_another_user_is_not_taken_over(user_home: Path) -> None:
    """As after ``sudo -u``, which keeps the caller's HOME."""
    give(user_home, "root")
    ran = as_user(user_home, "create", "single-node")
    assert ran.status == 20
    assert f"the home directory {user_home} belongs to root, and labgen runs as {USER}" in ran.stderr
    assert ran.stderr.splitlines()[-1] == "Set HOME to your own home directory."


def test_a_file_of_the_users_own_without_rights_is_named(user_home: Path) -> None:
    (user_home / DATA / "registry.json").chmod(0)
    ran = as_user(user_home, "create", "single-node", "--dry-run")
    assert ran.status == 20
    assert f"chmod -R u+rwX {user_home / DATA / 'registry.json'}" in ran.stderr


def test_a_home_of_the_users_own_without_rights_is_not_opened_as_a_whole(user_home: Path) -> None:
    shutil.rmtree(user_home / DATA)
    (user_home / DATA).parent.chmod(0o500)
    ran = as_user(user_home, "create", "single-node")
    assert ran.status == 20
    assert f"chmod u+rwX {(user_home / DATA).parent}" in ran.stderr


def test_files_of_a_third_user_are_not_advised_to_be_taken_over(user_home: Path) -> None:
    give(user_home / DATA, "daemon")
    ran = as_user(user_home, "create", "single-node")
    assert ran.status == 20
    assert "Ask daemon for write permission" in ran.stderr
    assert "chown" not in ran.stderr


def test_vagrants_store_of_another_user_is_named_before_vagrant_fails(user_home: Path) -> None:
    (user_home / ".vagrant.d" / "boxes").mkdir()
    ran = as_user(user_home, "doctor")
    assert ran.status == 20
    assert f"{user_home}/.vagrant.d/boxes belongs to root" in ran.stdout
    assert f"sudo chown -R {USER} {user_home}/.vagrant.d/boxes" in ran.stderr


@pytest.mark.parametrize(("command", "status"), [("list", 20), ("create single-node", 20), ("--help", 0)])
def test_a_user_without_a_home_is_told(command: str, status: int) -> None:
    nobody_at_all = ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups"]
    ran = process(command.split(), {"PATH": os.environ["PATH"]}, prefix=nobody_at_all)
    assert ran.status == status
    assert ("there is no home directory for labs and boxes" in ran.stderr) == (status == 20)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(("command", "status"), [("create single-node", 20), ("stop nowhere", 20), ("list", 0)])
def test_a_read_only_home_is_named(user_home: Path, command: str, status: int) -> None:
    mounted = ["unshare", "--mount"]
    if subprocess.run([*mounted, "mount", "-t", "tmpfs", "-o", "ro", "none", user_home], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    read_only = 'mount -t tmpfs -o ro none "$HOME" && exec "$@"'
    ran = process(command.split(), ordinary(user_home), prefix=mounted, shell=read_only)
    assert ran.status == status, ran
    assert ("their file system is read-only" in ran.stderr) == (status == 20)
