"""Interrupted creates, and what destroy leaves: nothing of the lab, everything else."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import LABGEN, eventually, labgen, names, node_output, on_host, virsh

FOREIGN_NETWORK = "<network><name>labgen_foreign</name><bridge name='foreign0'/></network>"
FOREIGN_DOMAIN = (
    "<domain type='qemu'><name>labgen_foreign</name><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64'>hvm</type></os></domain>"
)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Objects on the host that resemble labgen's but are not; the fixture checks that they survive."""
    directory = tmp_path_factory.mktemp("foreign")
    (directory / "network.xml").write_text(FOREIGN_NETWORK)
    (directory / "domain.xml").write_text(FOREIGN_DOMAIN)
    virsh("net-define", str(directory / "network.xml"))
    virsh("define", str(directory / "domain.xml"))
    labgen("doctor", check=False)  # creates the pool, if nothing has run before
    virsh("vol-create-as", "labgen", "labgen_foreign.img", "1M")
    before = on_host()
    yield before
    assert on_host() == before
    virsh("undefine", "labgen_foreign")
    virsh("net-undefine", "labgen_foreign")
    virsh("vol-delete", "labgen_foreign.img", "--pool", "labgen")


@contextlib.contextmanager
def creating(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A create that boots its machines in the meantime, in a separate process group, as a shell would start it."""
    with subprocess.Popen(
        [*LABGEN, "create", "--cold", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def domain_exists(lab: str) -> bool:
    return any(f"_{lab}_" in name for name in names("list", "--all"))


def vagrant_runs(lab: str) -> bool:
    directory = Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / lab
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == directory:
                return True
    return False


def test_killed_while_vagrant_boots_then_resumed_then_destroyed(foreign: dict[str, set[str]], tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: cut\nnodes: {manager: {role: manager}}\nstorage: {driver: btrfs}\n")
    with creating(str(profile)) as process:
        eventually("the machine is defined", lambda: domain_exists("cut"))
        process.kill()  # only labgen: it must not leave a vagrant process behind
        process.wait()
    eventually("Vagrant ended with labgen", lambda: not vagrant_runs("cut"), 10)
    assert "failed" in labgen("list").stdout

    labgen("create", str(profile))
    assert (
        node_output("cut", "manager1", "docker", "info", "-f", "{{.Driver}} {{.Swarm.ControlAvailable}}")
        == "btrfs true"
    )

    # The profile is edited and removed in the meantime: destroy works from the records.
    profile.unlink()
    labgen("destroy", "cut", "--yes")
    assert on_host() == foreign


def test_interrupted_is_a_normal_end(foreign: dict[str, set[str]]) -> None:
    with creating("single-node", "--name", "stopped") as process:
        eventually("the machine is defined", lambda: domain_exists("stopped"))
        os.killpg(process.pid, signal.SIGINT)  # like the terminal: labgen and Vagrant at once
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "labgen destroy stopped" in errors
    labgen("destroy", "stopped", "--yes")
    assert on_host() == foreign


def test_rolled_back_after_a_failure(foreign: dict[str, set[str]], tmp_path: Path) -> None:
    (tmp_path / "fail.sh").write_text("#!/bin/sh\necho what went wrong >&2\nexit 7\n")
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: broken\nnodes: {manager: {role: manager}}\nprovision: [fail.sh]\n")
    failed = labgen("create", str(profile), "--on-failure", "rollback", check=False)
    assert failed.status == 50
    assert "what went wrong" in failed.stderr
    assert "exit status 7" in failed.stderr
    assert on_host() == foreign


def test_prune_leaves_what_may_have_been_lived_in(foreign: dict[str, set[str]]) -> None:
    with creating("single-node", "--name", "lost") as process:
        eventually("the machine is defined", lambda: domain_exists("lost"))
        process.kill()
        process.wait()
    eventually("Vagrant ended with labgen", lambda: not vagrant_runs("lost"), 10)
    shutil.rmtree(Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / "lost")
    found = labgen("prune", "--yes")
    assert "foreign" not in found.stdout
    assert "labgen destroy lost" in found.stderr
    assert domain_exists("lost")
    labgen("destroy", "lost", "--yes")
    assert labgen("prune", "--yes").stdout == ""
    assert on_host() == foreign


def test_two_creates_of_one_name_at_once(foreign: dict[str, set[str]]) -> None:
    with creating("single-node", "--name", "twice"):
        eventually("the first has begun", lambda: domain_exists("twice"))
        second = labgen("create", "single-node", "--name", "twice", check=False)
        assert second.status == 1
        assert "another labgen process is working" in second.stderr
        destroyed = labgen("destroy", "twice", "--yes", check=False)
        assert destroyed.status == 1
    labgen("destroy", "twice", "--yes")
    assert on_host() == foreign


def has(lab: str, path: str, text: str = "") -> bool:
    """Whether a file of the lab exists and contains a text; only used to choose the moment to interrupt."""
    return text in (Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / lab / path).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_cut_off_at_every_stage(foreign: dict[str, set[str]], how: signal.Signals) -> None:
    """One lab, interrupted again and again; then it is finished."""
    moments = {
        "planned": lambda: has("again", "lab.json"),
        "Vagrant runs": lambda: vagrant_runs("again"),
        "the machine is defined": lambda: domain_exists("again"),
        "it lets us in": lambda: has("again", "known_hosts", "ssh-"),
        "it was prepared": lambda: has("again", "logs/manager1.provision.log", "exit status 0"),
        "the cluster is formed": lambda: (
            has("again", "lab.json", '"clustered"') or has("again", "lab.json", '"verified"')
        ),
    }
    for moment, reached in moments.items():
        with creating("single-node", "--name", "again") as process:
            eventually(moment, reached)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            _, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors
        eventually("Vagrant ended with labgen", lambda: not vagrant_runs("again"), 10)
    labgen("create", "single-node", "--name", "again")
    assert node_output("again", "manager1", "docker", "info", "-f", "{{.Swarm.ControlAvailable}}") == "true"
    labgen("destroy", "again", "--yes")
    assert on_host() == foreign


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A labgen home on a file system of one megabyte, with the tests' boxes."""
    home = tmp_path / "small"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "small", str(home)], check=True)
    (home / "cache").symlink_to(Path(os.environ["LABGEN_HOME"]) / "cache")
    yield {"LABGEN_HOME": str(home)}
    subprocess.run(["umount", str(home)], check=True)


@pytest.mark.slow
def test_a_full_disk(foreign: dict[str, set[str]], small_disk: dict[str, str]) -> None:
    filler = Path(small_disk["LABGEN_HOME"]) / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    failed = labgen("create", "single-node", "--name", "full", "--cold", check=False, env=small_disk)
    assert failed.status != 0
    assert "No space left on device" in failed.stderr
    filler.unlink()
    labgen("create", "single-node", "--name", "full", "--cold", env=small_disk)
    labgen("destroy", "full", "--yes", env=small_disk)
    assert on_host() == foreign
