"""Vagrant: boots the machines from a rendered Vagrantfile. The only importer of python-vagrant."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import vagrant

from labgen import paths
from labgen.errors import HostError, HypervisorError

PROVIDER = "libvirt"
RUBY_FRAME = re.compile(r"\s*(from )?/\S+\.rb:\d+:in ")  # of the backtrace that Vagrant prints behind the reason


class _Vagrant(vagrant.Vagrant):  # type: ignore[misc]  # it has no types
    """python-vagrant, with a vagrant that ends when labgen does: none is left behind to make machines.

    Not by a gentler signal: it would begin to clean up, while the next labgen already repairs.
    """

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        return ["setpriv", "--pdeathsig", "KILL", *super()._make_vagrant_command(args)]


def up(directory: Path, log: Path) -> None:
    """``vagrant up`` of all machines in parallel, without provisioning; returns when all are up.

    :param log: what Vagrant says is added to this file.
    :raises HypervisorError: Vagrant failed.
    """
    with log.open("a") as file, _explained("booting the machines", log):
        _vagrant(directory, file.fileno()).up(provider=PROVIDER, provision=False)


def validate(directory: Path) -> None:
    """Lets Vagrant check the Vagrantfile.

    :raises HypervisorError: it is wrong.
    """
    with _logged("checking the Vagrantfile") as log:
        _vagrant(directory, log)._call_vagrant_command(["validate"])


def has_box(name: str, version: str) -> bool:
    """Whether Vagrant's own store holds that version of a box.

    The layout is that of Vagrant's box_collection.rb; asking Vagrant itself takes seconds.
    """
    directory = _box_directory(name)
    return any(directory.glob(f"{version}/**/{PROVIDER}/metadata.json"))


def add_box(catalog: Path) -> None:
    """Adds the newest version that a catalog names.

    :raises HypervisorError: Vagrant failed.
    """
    with _logged("adding the box to Vagrant") as log:
        command = ["box", "add", catalog.as_uri(), "--provider", PROVIDER, "--force"]
        _vagrant(Path.home(), log)._call_vagrant_command(command)


def remove_box(name: str) -> None:
    """Removes all versions of a box from Vagrant's own store; none there is as good."""
    shutil.rmtree(_box_directory(name), ignore_errors=True)


def forget(directory: Path) -> None:
    """Removes a project's machines from Vagrant's machine index (``vagrant global-status``).

    The format and the lock are those of Vagrant's machine_index.rb.
    """
    index = paths.vagrant_home() / "data" / "machine-index" / "index"
    if not index.is_file():
        return
    with index.with_name("index.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = json.loads(index.read_text())
        machines = content["machines"]
        kept = {key: each for key, each in machines.items() if Path(each["vagrantfile_path"]) != directory}
        if kept != machines:
            temporary = index.with_name("index.labgen")
            temporary.write_text(json.dumps({**content, "machines": kept}))
            temporary.replace(index)


def known_machines(directory: Path) -> set[str]:
    """The names of the machines that Vagrant has a record of in a project."""
    records = directory / ".vagrant" / "machines"
    return {record.parent.parent.name for record in records.glob(f"*/{PROVIDER}/id") if record.stat().st_size}


def know_machine(directory: Path, name: str, uuid: str) -> None:
    """Makes a machine that libvirt has, and Vagrant did not make, one that Vagrant knows: its data files for it.

    :param uuid: of its domain. The files are those that Vagrant's machine.rb reads.
    """
    record = directory / ".vagrant" / "machines" / name / PROVIDER
    record.mkdir(parents=True, exist_ok=True)
    for file, text in {"creator_uid": str(os.getuid()), "vagrant_cwd": str(directory), "id": uuid}.items():
        (record / file).write_text(text)


def forget_machine(directory: Path, name: str) -> None:
    """Removes Vagrant's record of one machine, which is then new to it."""
    shutil.rmtree(directory / ".vagrant" / "machines" / name, ignore_errors=True)


def _box_directory(name: str) -> Path:
    return paths.vagrant_home() / "boxes" / name.replace("/", "-VAGRANTSLASH-")


def _vagrant(directory: Path, log: int) -> _Vagrant:
    @contextlib.contextmanager
    def to_log() -> Iterator[int]:
        yield log

    environment = {
        **os.environ,
        "VAGRANT_HOME": str(paths.vagrant_home()),
        "VAGRANT_CHECKPOINT_DISABLE": "1",  # no question to its maker's server
        "VAGRANT_NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return _Vagrant(root=str(directory), out_cm=to_log, err_cm=to_log, env=environment)


@contextlib.contextmanager
def _explained(doing: str, log: Path) -> Iterator[None]:
    try:
        yield
    except subprocess.CalledProcessError as error:
        said = log.read_text(errors="replace").splitlines()
        lines = [line for line in said if line.strip() and not RUBY_FRAME.match(line)]
        raise HypervisorError(f"{doing} failed", "\n".join(lines[-15:]), f"All that Vagrant said: {log}") from error
    except (RuntimeError, FileNotFoundError) as error:
        raise HostError("Vagrant is missing", str(error), "Run 'make install' or 'labgen doctor'.") from error


@contextlib.contextmanager
def _logged(doing: str) -> Iterator[int]:
    """A log of its own for a short call; what it holds goes into the error."""
    with tempfile.NamedTemporaryFile("w", prefix="labgen-vagrant-", suffix=".log") as file:
        try:
            with _explained(doing, Path(file.name)):
                yield file.fileno()
        except HypervisorError as error:
            raise HypervisorError(error.brief, error.details) from error.__cause__
