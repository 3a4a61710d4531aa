"""Nodes of a real lab switched off and on, as docker and virsh report it."""

import json

import pytest

from tests.vm.conftest import labgen, names, node_output


def seen_by_swarm(lab: str) -> dict[str, str]:
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    return dict(line.split(" ") for line in listed.splitlines())


def switched(verb: str, lab: str, *nodes: str) -> list[dict[str, str]]:
    return list(json.loads(labgen(verb, lab, *nodes, "--format", "json").stdout))


def test_a_node_without_power_is_down_until_it_is_started(lab: str) -> None:
    assert switched("kill", lab, "worker2") == [{"node": "worker2", "machine": "stopped", "cluster": "down"}]
    assert not [name for name in names("list") if name.endswith(f"_{lab}_worker2")]
    assert seen_by_swarm(lab) == {"manager1": "Ready", "worker1": "Ready", "worker2": "Down"}

    refused = labgen("stop", lab, "manager1", check=False)
    assert refused.status == 2
    assert "0 of 1 managers would be left" in refused.stderr

    assert switched("start", lab, "worker2") == [{"node": "worker2", "machine": "running", "cluster": "ready"}]
    assert set(seen_by_swarm(lab).values()) == {"Ready"}


@pytest.mark.slow
def test_nodes_are_restarted_and_the_only_manager_by_force(lab: str) -> None:
    booted = {
        node: node_output(lab, node, "cat", "/proc/sys/kernel/random/boot_id") for node in ("manager1", "worker1")
    }
    back = switched("restart", lab, "manager1", "worker1", "--force")
    assert {(each["machine"], each["cluster"]) for each in back} == {("running", "ready")}
    for node, boot in booted.items():
        assert node_output(lab, node, "cat", "/proc/sys/kernel/random/boot_id") != boot
    assert set(seen_by_swarm(lab).values()) == {"Ready"}
    assert "nothing to do" in labgen("start", lab).stdout
