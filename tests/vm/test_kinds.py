"""A machine outside the Swarm, on a real host: the client of three-node-btrfs-client, from create to destroy."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import labgen, node_output, on_host

# Small, because two such labs briefly exist at once.
SMALL = ["--set", "nodes.worker.count=1", "--set", "resources.memory=768MiB"]


@pytest.fixture(scope="module")
def alone(lab: str) -> Iterator[None]:
    labgen("suspend", lab)
    yield
    labgen("resume", lab)


@pytest.fixture
def outside(alone: None) -> Iterator[str]:
    labgen("prune", "--yes")  # the boxes of bundles that other tests imported, which the test below removes
    before = on_host()
    labgen("create", "three-node-btrfs-client", "--name", "client", *SMALL)
    yield "client"
    labgen("destroy", "client", "--yes", "--if-exists")
    assert on_host() == before


def nodes(lab: str) -> dict[str, dict[str, object]]:
    found = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    return {str(node["name"]): node for node in found}


def shell(lab: str, script: str) -> str:
    """A script's output in the client."""
    return node_output(lab, "client1", "sh", "-c", script)


def left_alone(lab: str) -> None:
    """What is true of the client, whatever happened to its lab."""
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.splitlines()) == ["manager1 Ready", "worker1 Ready"]
    assert shell(lab, "pgrep -x dockerd || echo none") == "none"
    assert shell(lab, "cat mine") == "mine"
    disks = shell(lab, "cd /sys/block && echo vd*").split()
    assert disks == ["vda"]
    checked = labgen("status", lab, "--check", "--format", "json").stdout
    assert {each["status"] for each in json.loads(checked)["health"]} == {"ok"}


@pytest.mark.slow
def test_a_client_lives_through_all_that_a_lab_does(outside: str) -> None:
    assert nodes(outside)["client1"]["cluster"] is None
    shell(outside, "echo mine >mine; sync")
    assert "manager1" in shell(outside, "getent hosts manager1")
    left_alone(outside)
    assert "nothing to do" in labgen("start", outside).stdout
    labgen("suspend", outside)
    labgen("resume", outside)
    left_alone(outside)
    labgen("checkpoint", "save", outside, "before")
    shell(outside, "rm mine")
    labgen("checkpoint", "restore", outside, "before", "--yes")
    left_alone(outside)
    labgen("stop", outside)
    labgen("start", outside)
    left_alone(outside)


@pytest.mark.slow
def test_a_client_travels_by_every_way(outside: str, tmp_path: Path) -> None:
    """Warm, with its memory, with its disks, and without labgen."""
    shell(outside, "echo mine >mine; sync")
    labgen("export", outside, "--depth", "running", "-o", str(tmp_path / "running.labgen"))
    labgen("export", outside, "--depth", "disks", "-o", str(tmp_path / "disks.labgen"))
    labgen("suspend", outside)

    warm = labgen("create", "three-node-btrfs-client", "--name", "warm", *SMALL)
    assert "starting from the template" in warm.stderr
    shell("warm", "echo mine >mine")
    left_alone("warm")
    labgen("destroy", "warm", "--yes")

    for depth in ("running", "disks"):
        labgen("import", str(tmp_path / f"{depth}.labgen"), "--name", "arrived")
        started = labgen("start", "arrived")
        assert "cannot be resumed from memory" not in started.stderr
        left_alone("arrived")
        labgen("destroy", "arrived", "--yes")

    tmp_path.chmod(0o755)
    subprocess.run(["tar", "-xf", "disks.labgen"], cwd=tmp_path, check=True)
    directory = tmp_path / "client"
    with_original = on_host()
    try:
        refused = up(directory)
        assert refused.returncode == 1
        assert "The lab's network cannot be started" in refused.stderr
        assert ".rb:" not in refused.stdout + refused.stderr
        assert on_host()["networks"] == with_original["networks"]
        labgen("destroy", outside, "--yes")
        brought_up = up(directory)
        assert brought_up.returncode == 0, brought_up.stdout[-3000:] + brought_up.stderr[-3000:]
        assert brought_up.stdout.count("Ready") == 2
        command = ["vagrant", "ssh", "client1", "-c", "cat mine"]
        seen = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
        assert seen.stdout.strip() == "mine"
    finally:
        subprocess.run(["vagrant", "destroy", "-f"], cwd=directory, check=False)
    labgen("prune", "--yes")


def up(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["./up"], cwd=directory, capture_output=True, text=True, check=False)
