"""Vagrant: boots the machines from a rendered Vagrantfile. The only importer of python-vagrant."""

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import vagrant

from labgen import paths, surroundings, turns
from labgen.backtrace import reason
from labgen.errors import HostError, HypervisorError
from labgen.files import read_json, require_writable, write_atomically

PROVIDER = "libvirt"
MISSING = "Vagrant is missing"
ANSWER_LIMIT = 60  # seconds that Vagrant may take for a command that creates nothing
POLL = 0.2  # seconds between two checks of a running vagrant
NOWHERE = Path("/")  # where commands outside any project run: Vagrant evaluates any Vagrantfile here and above
SHARED = ("boxes", "data", "gems", "rgloader", "tmp")  # of Vagrant's store; Vagrant also creates them itself
INDEX = "data/machine-index/index"  # in Vagrant's store
INDEX_LIMIT = 60  # seconds; Vagrant locks its index for much less than one


class _Vagrant(vagrant.Vagrant):  # type: ignore[misc]  # it has no types
    """python-vagrant, whose vagrant ends when labgen ends or cancels it, so that none is left creating machines.

    The signal is KILL: after a gentler one Vagrant would clean up while labgen already repairs or removes.
    """

    cancelled: threading.Event | None = None
    limit = math.inf  # seconds

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        return ["setpriv", "--pdeathsig", "KILL", *super()._make_vagrant_command(args)]

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        """Runs Vagrant in a separate session, so that only labgen reacts to Ctrl-C on the terminal."""
        command, cancelled = self._make_vagrant_command(args), self.cancelled or threading.Event()
        deadline, late = time.monotonic() + self.limit, False
        with (
            self.out_cm() as out,
            self.err_cm() as err,
            subprocess.Popen(
                command,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.env,
                start_new_session=True,
            ) as process,
        ):
            while process.poll() is None:
                late = time.monotonic() > deadline
                if late or cancelled.wait(POLL):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if late:
            raise subprocess.TimeoutExpired(command, self.limit)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)


def up(directory: Path, log: Path, cancelled: threading.Event) -> None:
    """``vagrant up`` of all machines in parallel, without provisioning; returns when all are up.

    :param log: Vagrant's output is appended to this file. :param cancelled: once it is set, Vagrant is killed.
    :raises HypervisorError: Vagrant failed, or was killed.
    """
    with log.open("a") as file, _explained("booting the machines", log, os.fstat(file.fileno()).st_size):
        runner = _vagrant(directory, file.fileno())
        runner.cancelled = cancelled
        runner.up(provider=PROVIDER, provision=False)


def validate(directory: Path, limit: float = ANSWER_LIMIT) -> None:
    """Lets Vagrant check the Vagrantfile.

    :param limit: seconds. :raises HypervisorError: it is not valid, or Vagrant hangs.
    """
    with _logged("checking the Vagrantfile") as log:
        runner = _vagrant(directory, log)
        runner.limit = limit
        runner._call_vagrant_command(["validate"])


def plugins(limit: float = ANSWER_LIMIT) -> list[str]:
    """A line for each of Vagrant's plugins, e.g. ``vagrant-libvirt (0.11.2, system)``.

    :param limit: seconds. :raises HostError: Vagrant is missing. :raises HypervisorError: it fails, or hangs.
    """
    command = ["vagrant", "plugin", "list"]
    try:
        result = subprocess.run(
            command,
            cwd=NOWHERE,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(MISSING) from error
    except subprocess.TimeoutExpired as error:
        raise HypervisorError(f"Vagrant does not answer within {limit:.0f} s") from error
    if result.returncode:
        raise HypervisorError("Vagrant fails", reason(f"{result.stdout}\n{result.stderr}"))
    return result.stdout.splitlines()


def has_box(name: str, version: str) -> bool:
    """Whether Vagrant's own store contains that version of a box.

    The layout is that of Vagrant's box_collection.rb; asking Vagrant itself takes seconds.
    """
    directory = _box_directory(name)
    return any(directory.glob(f"{version}/**/{PROVIDER}/metadata.json"))


def add_box(catalog: Path) -> None:
    """Adds the newest version in a catalog.

    :raises HypervisorError: Vagrant failed.
    """
    with _logged("adding the box to Vagrant") as log:
        command = ["box", "add", catalog.as_uri(), "--provider", PROVIDER, "--force"]
        _vagrant(NOWHERE, log)._call_vagrant_command(command)


def remove_box(name: str) -> None:
    """Removes all versions of a box from Vagrant's own store, if there are any."""
    if (directory := _box_directory(name)).exists():
        shutil.rmtree(directory)


def forget(directory: Path) -> None:
    """Removes the machines of a project, or of all projects below it, from Vagrant's machine index.

    The format and the lock are those of Vagrant's machine_index.rb. An index that cannot be read is left as it is:
    Vagrant itself reports it, and no part of the project depends on it. Paths are compared after resolving links.

    :raises HeldError: another process holds the index for too long.
    """
    index, here = paths.vagrant_home() / INDEX, directory.resolve()
    if not index.is_file():
        return
    with (
        turns.lock(index.with_name("index.lock"), INDEX_LIMIT),
        contextlib.suppress(ValueError, LookupError, TypeError, AttributeError),
    ):
        content = read_json(index)
        machines = content["machines"]
        kept = {
            key: each
            for key, each in machines.items()
            if not Path(each["vagrantfile_path"]).resolve().is_relative_to(here)
        }
        if kept != machines:
            write_atomically(index, json.dumps({**content, "machines": kept}))


def known_machines(directory: Path) -> dict[str, str]:
    """The machines that Vagrant has a record of in a project: their domains' UUIDs by name."""
    records = (directory / ".vagrant" / "machines").glob(f"*/{PROVIDER}/id")
    return {
        record.parent.parent.name: uuid for record in records if (uuid := record.read_text(errors="replace").strip())
    }


def know_machine(directory: Path, name: str, uuid: str) -> None:
    """Makes a machine that exists in libvirt known to Vagrant by writing Vagrant's data files for it.

    :param uuid: its domain's. The files are those that Vagrant's machine.rb reads; ``id`` is the essential one.
    """
    record = directory / ".vagrant" / "machines" / name / PROVIDER
    for file, text in {"creator_uid": str(os.getuid()), "vagrant_cwd": str(directory), "id": uuid}.items():
        write_atomically(record / file, text)


def forget_machine(directory: Path, name: str) -> None:
    """Removes Vagrant's record of one machine, which Vagrant then treats as new."""
    shutil.rmtree(directory / ".vagrant" / "machines" / name, ignore_errors=True)


def environment() -> dict[str, str]:
    """The environment for a Vagrant with the user's boxes, plugins and machine index, but not the user's settings.

    A Vagrantfile in Vagrant's home is merged into every project's: its memory, provisioners and synced folders would
    also apply to the lab. Vagrant cannot be told to leave it out, so it gets a home without one.
    """
    home, view = paths.vagrant_home(), paths.vagrant_view()
    view.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        (home / name).mkdir(parents=True, exist_ok=True)
        require_writable(home / name)  # Vagrant's own error would not name the owner
    for name in (*SHARED, "plugins.json"):
        link = view / name
        if not link.is_symlink() or link.readlink() != home / name:
            link.unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):  # another labgen process was quicker
                link.symlink_to(home / name)
    return surroundings.environment(
        VAGRANT_HOME=str(view),
        VAGRANT_CHECKPOINT_DISABLE="1",  # no request to HashiCorp's update server
        VAGRANT_NO_COLOR="1",
    )


def _box_directory(name: str) -> Path:
    return paths.vagrant_home() / "boxes" / name.replace("/", paths.VAGRANTS_SLASH)


def _vagrant(directory: Path, log: int) -> _Vagrant:
    @contextlib.contextmanager
    def to_log() -> Iterator[int]:
        yield log

    return _Vagrant(root=str(directory), out_cm=to_log, err_cm=to_log, env=environment())


@contextlib.contextmanager
def _explained(doing: str, log: Path, start: int = 0) -> Iterator[None]:
    """:param start: where this run's output begins in the log; the text before it is from earlier runs."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        said = log.read_bytes()[start:].decode(errors="replace")
        raise HypervisorError(f"{doing} failed", reason(said), f"Vagrant's full output: {log}") from error
    except subprocess.TimeoutExpired as error:
        raise HypervisorError(f"{doing}: Vagrant does not answer within {error.timeout:.0f} s") from error
    except (RuntimeError, FileNotFoundError) as error:
        raise HostError(MISSING, str(error), "Run 'make install' or 'labgen doctor'.") from error


@contextlib.contextmanager
def _logged(doing: str) -> Iterator[int]:
    """A separate log for a short call; its contents go into the error."""
    with tempfile.NamedTemporaryFile("w", prefix="labgen-vagrant-", suffix=".log") as file:
        try:
            with _explained(doing, Path(file.name)):
                yield file.fileno()
        except HypervisorError as error:
            raise HypervisorError(error.brief, error.details) from error.__cause__
