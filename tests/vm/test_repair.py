"""``create`` on an existing lab: nothing to do, or exactly what is wrong."""

from tests.vm.conftest import NODES, labgen, names, node_output, virsh


def test_a_whole_lab_needs_nothing(lab: str) -> None:
    before = node_output(lab, "manager1", "docker", "node", "ls", "-q")
    again = labgen("create", "three-node-btrfs", "--name", lab)
    assert "nothing to do" in again.stdout
    assert node_output(lab, "manager1", "docker", "node", "ls", "-q") == before


def test_another_profile_under_the_same_name_is_refused(lab: str) -> None:
    refused = labgen("create", "single-node", "--name", lab, check=False)
    assert refused.status == 2
    assert "a different profile" in refused.stderr


def test_a_worker_that_left_is_joined_again(lab: str) -> None:
    node_output(lab, "worker2", "docker", "swarm", "leave", "--force")
    repaired = labgen("create", "three-node-btrfs", "--name", lab)
    assert "nothing to do" not in repaired.stdout
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.splitlines()) == [f"{node} Ready" for node in NODES]


def test_a_node_whose_power_was_cut_is_started(lab: str) -> None:
    domain = next(name for name in names("list") if name.endswith(f"_{lab}_worker1"))
    virsh("destroy", domain)
    labgen("create", "three-node-btrfs", "--name", lab)
    assert (
        node_output(lab, "worker1", "docker", "info", "-f", "{{.Driver}} {{.Swarm.LocalNodeState}}") == "btrfs active"
    )


def test_the_swarm_is_whole_again_after_stop_and_start(lab: str) -> None:
    labgen("stop", lab)
    assert not {name for name in names("list") if f"_{lab}_" in name}
    assert "stopped" in labgen("list").stdout
    labgen("start", lab)
    assert node_output(lab, "worker1", "cat", "/proc/sys/kernel/randomize_va_space") == "2"
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.splitlines()) == [f"{node} Ready" for node in NODES]
