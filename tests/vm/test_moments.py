"""The whole lab at one moment: suspended and resumed, kept and come back to."""

import json
import time

from tests.vm.conftest import NODES, labgen, names, node_output, virsh, volumes


def clock_of(lab: str, node: str) -> float:
    return float(node_output(lab, node, "date", "+%s.%N"))


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
    assert all(abs(clock_of(lab, node) - time.time()) < 3 for node in NODES)
    assert node_output(lab, "worker1", "cat", "/proc/sys/kernel/random/boot_id") == boot
    assert ready_nodes(lab) == ["Ready"] * 3


def test_a_checkpoint_brings_disks_and_memory_back(lab: str) -> None:
    node_output(lab, "worker1", "sh", "-c", "echo before | sudo tee /var/lib/docker/marker /run/marker")
    labgen("checkpoint", "save", lab, "before")
    assert ready_nodes(lab) == ["Ready"] * 3
    node_output(lab, "worker1", "sh", "-c", "echo after | sudo tee /var/lib/docker/marker /run/marker; sync")
    node_output(lab, "worker2", "docker", "swarm", "leave")

    labgen("checkpoint", "restore", lab, "before", "--yes")
    assert node_output(lab, "worker1", "cat", "/var/lib/docker/marker", "/run/marker") == "before\nbefore"
    assert ready_nodes(lab) == ["Ready"] * 3
    assert all(abs(clock_of(lab, node) - time.time()) < 3 for node in NODES)

    assert "before" in labgen("checkpoint", "list", lab).stdout
    labgen("checkpoint", "delete", lab, "before")
    assert not any(name.endswith(".memory") for name in volumes())
    for name in names("list"):
        assert virsh("snapshot-list", name, "--name").split() == []
