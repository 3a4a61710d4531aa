"""The whole lab at one moment: suspended and resumed, saved and restored."""

import contextlib
import json
import subprocess
import time

import pytest

from tests.vm.conftest import LABGEN, NODES, labgen, names, node_output, on_host, virsh, volumes


def is_in_time(lab: str, node: str) -> bool:
    """Whether the machine's time is between the host's times just before and just after the query."""
    before = time.time()
    said = float(node_output(lab, node, "date", "+%s.%N"))
    return before - 1.5 < said < time.time() + 1.5


def ready_nodes(lab: str) -> list[str]:
    return node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Status}}").splitlines()


def state_of(lab: str) -> str:
    return str(json.loads(labgen("status", lab, "--format", "json").stdout)["state"])


def test_suspended_and_resumed(lab: str) -> None:
    boot = node_output(lab, "worker1", "cat", "/proc/sys/kernel/random/boot_id")
    labgen("suspend", lab)
    assert not any(f"_{lab}_" in name for name in names("list"))
    assert state_of(lab) == "suspended"
    time.sleep(5)
    labgen("resume", lab)
    assert all(is_in_time(lab, node) for node in NODES)
    assert node_output(lab, "worker1", "cat", "/proc/sys/kernel/random/boot_id") == boot
    assert ready_nodes(lab) == ["Ready"] * 3


def test_a_checkpoint_brings_disks_and_memory_back(lab: str) -> None:
    node_output(lab, "worker1", "sh", "-c", "echo before | sudo tee /var/lib/docker/marker /run/marker")
    labgen("checkpoint", "save", lab, "before")
    assert ready_nodes(lab) == ["Ready"] * 3
    node_output(lab, "worker1", "sh", "-c", "echo after | sudo tee /var/lib/docker/marker /run/marker; sync")
    node_output(lab, "worker2", "docker", "swarm", "leave")

    labgen("checkpoint", "restore", lab, "before", "--yes")
    assert node_output(lab, "worker1", "sudo", "cat", "/var/lib/docker/marker", "/run/marker") == "before\nbefore"
    assert ready_nodes(lab) == ["Ready"] * 3
    assert all(is_in_time(lab, node) for node in NODES)

    assert "before" in labgen("checkpoint", "list", lab).stdout
    labgen("checkpoint", "delete", lab, "before")
    assert not any(name.endswith(".memory") for name in volumes() if ".template-" not in name)
    for name in names("list"):
        assert virsh("snapshot-list", name, "--name").split() == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["save", "restore"])
def test_killed_at_any_moment_the_lab_still_works(lab: str, verb: str) -> None:
    labgen("prune", "--yes")  # leftovers of earlier imports, which the one at the end would remove
    before = on_host()
    if verb == "restore":
        labgen("checkpoint", "save", lab, "cut")
    for seconds in (0.3, 1, 2, 4, 8):
        arguments = ["cut", "--yes"] if verb == "restore" else ["cut"]
        process = subprocess.Popen(
            [*LABGEN, "checkpoint", verb, lab, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
        labgen("start", lab)
        assert ready_nodes(lab) == ["Ready"] * 3
        if verb == "save" and "cut" in labgen("checkpoint", "list", lab).stdout:
            labgen("checkpoint", "delete", lab, "cut")
    if verb == "restore":
        labgen("checkpoint", "delete", lab, "cut")
    labgen("prune", "--yes")
    assert on_host() == before
