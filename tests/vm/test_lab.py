"""A lab after create has ended: as reported by the machines, Docker and libvirt, never by labgen's own state."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from tests.vm.conftest import NODES, SERVER, eventually, labgen, names, node_output, virsh

IN_ALL = "set -e; hostname; docker info -f '{{.Driver}}'; findmnt -no FSTYPE /var/lib/docker; uname -r"


def lines_by_node(output: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        node, _, text = line.partition(": ")
        found.setdefault(node, []).append(text)
    return found


def test_docker_runs_on_the_driver_of_the_profile(lab: str) -> None:
    said = lines_by_node(labgen("exec", lab, "--", "sh", "-c", IN_ALL).stdout)
    assert set(said) == set(NODES)
    for node, (hostname, driver, filesystem, _) in said.items():
        assert (hostname, driver, filesystem) == (node, "btrfs", "btrfs")


def test_all_nodes_have_the_same_packages_but_their_own_identity(lab: str) -> None:
    script = (
        "dpkg-query -W | sha256sum; uname -r; cat /etc/machine-id; sudo cat /etc/ssh/ssh_host_ed25519_key.pub;"
        " docker info -f '{{.ID}}'"
    )
    said = lines_by_node(labgen("exec", lab, "--", "sh", "-c", script).stdout)
    packages, kernels, *identities = (set(column) for column in zip(*said.values(), strict=True))
    assert len(packages) == len(kernels) == 1
    assert [len(identity) for identity in identities] == [3, 3, 3]


def test_the_swarm_has_every_node_by_its_reserved_address(lab: str) -> None:
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert set(listed.splitlines()) == {f"{node} Ready" for node in NODES}
    leader = node_output(lab, "manager1", "docker", "node", "ls", "-q", "--filter", "role=manager")
    assert len(leader.splitlines()) == 1
    addresses = node_output(lab, "manager1", "docker", "node", "inspect", "-f", "{{.Status.Addr}}", *NODES)
    planned = {node["address"] for node in json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]}
    assert set(addresses.split()) == planned


def test_one_network_card_a_node_and_names_that_resolve(lab: str) -> None:
    script = (
        "ls /sys/class/net | grep -c ^e; for n in manager1 worker1 worker2; do getent -s files hosts $n; done | wc -l"
    )
    said = lines_by_node(labgen("exec", lab, "--", "sh", "-c", script).stdout)
    assert all(counts == ["1", "3"] for counts in said.values())


def test_status_says_what_docker_and_libvirt_say(lab: str) -> None:
    status = json.loads(labgen("status", lab, "--format", "json").stdout)
    assert (status["lab"], status["profile"], status["state"]) == (lab, "three-node-btrfs", "running")
    assert set(status) == {"lab", "profile", "state", "box", "orchestrator", "registry", "interrupted", "nodes"}
    format_ = "{{.Driver}}|{{.ServerVersion}}|{{.KernelVersion}}"
    truth = lines_by_node(labgen("exec", lab, "--", "docker", "info", "-f", format_).stdout)
    for node in status["nodes"]:
        said = f"{node['storage_driver']}|{node['engine_version']}|{node['kernel']}"
        assert [said] == truth[node["name"]]
        assert node["backing_filesystem"] == "btrfs"
        assert node["cluster"] == {
            "state": "ready",
            "availability": "active",
            "leader": node["name"] == "manager1",
        }
        assert node["swarm"] == node["cluster"]
        domain = next(name for name in names("list") if name.endswith(f"_{lab}_{node['name']}"))
        assert virsh("domstate", domain).strip() == node["state"] == "running"


def test_tokens_and_the_private_key_are_nowhere_to_be_seen(lab: str) -> None:
    directory = Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / lab
    token = node_output(lab, "manager1", "docker", "swarm", "join-token", "-q", "worker")
    secret = token.split("-")[-1].encode()
    for path in directory.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert (directory / "id_ed25519").stat().st_mode & 0o077 == 0
    processes = labgen("exec", lab, "--node", "worker1", "--", "ps", "axww").stdout
    assert secret.decode() not in processes


def test_exec_gives_the_worst_exit_code_and_keeps_arguments_as_they_are(lab: str) -> None:
    script = "test $(hostname) = manager1 || exit 3"
    assert labgen("exec", lab, "--", "sh", "-c", script, check=False).status == 3
    assert labgen("exec", lab, "--node", "manager1", "--", "sh", "-c", script).status == 0
    assert node_output(lab, "worker1", "printf", "%s", "a b; $(id) 'c'") == "a b; $(id) 'c'"
    unknown = labgen("exec", lab, "--node", "worker9", "--", "true", check=False)
    assert unknown.status == 2
    assert "worker2" in unknown.stderr


def test_ssh_and_its_configuration_lead_into_the_nodes(lab: str, tmp_path: Path) -> None:
    assert labgen("ssh", lab, "worker2", "hostname").stdout.strip() == "worker2"
    config = tmp_path / "config"
    config.write_text(labgen("ssh-config", lab).stdout)
    command = ["ssh", "-F", str(config), f"worker1.{lab}", "hostname"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "worker1\n"


def test_the_labs_directory_is_a_vagrant_project(lab: str) -> None:
    directory = Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / lab

    def vagrant(*arguments: str) -> str:
        return subprocess.run(
            ["vagrant", *arguments], cwd=directory, capture_output=True, text=True, check=True
        ).stdout

    status = vagrant("status", "--machine-readable")
    states = {line.split(",")[1] for line in status.splitlines() if line.split(",")[2:4] == ["state", "running"]}
    assert states == set(NODES)
    assert vagrant("ssh", "worker1", "-c", "hostname").strip() == "worker1"


def test_a_service_answers_on_every_node_across_the_overlay_network(lab: str, responder: str) -> None:
    """Ping and node ls are not enough: a real request has to cross the nodes."""
    command = ["docker", "service", "create", "--detach", "--name", "web", "--replicas", "3", "--publish", "8080:80"]
    command += ["--no-resolve-image", "--hostname", "{{.Node.Hostname}}", responder, "perl", "-e", SERVER]
    node_output(lab, "manager1", *command)
    try:
        addresses = [
            node["address"] for node in json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
        ]
        for address in addresses:
            seen: set[str] = set()

            def ask(address: str = address, seen: set[str] = seen) -> bool:
                with urllib.request.urlopen(f"http://{address}:8080/", timeout=10) as answer:
                    seen.add(answer.read().decode())
                return seen == set(NODES)

            eventually(f"{address} reaches the tasks of all nodes", ask)
    finally:
        node_output(lab, "manager1", "docker", "service", "rm", "web")


def test_layers_are_btrfs_subvolumes(lab: str, responder: str) -> None:
    subvolumes = node_output(lab, "worker1", "sudo", "btrfs", "subvolume", "list", "/var/lib/docker")
    assert "btrfs/subvolumes/" in subvolumes
