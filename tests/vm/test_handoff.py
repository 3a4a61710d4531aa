"""A lab leaves as one file and runs again: the containers' images, volumes and services with it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import NODES, SERVER, eventually, labgen, node_output, on_host

REPLICAS = "2"
SERVICE = ["docker", "service", "create", "--detach", "--name", "kept", "--replicas", REPLICAS, "--no-resolve-image"]
IDENTITY = "cat /etc/machine-id; sudo cat /etc/ssh/ssh_host_ed25519_key.pub; docker info -f '{{.ID}}'"


@pytest.fixture
def furnished(lab: str, responder: str) -> Iterator[str]:
    """The shared lab with things in it that have to arrive."""
    node_output(lab, "worker1", "docker", "volume", "create", "box")
    volume = "/var/lib/docker/volumes/box/_data/file"
    node_output(lab, "worker1", "sh", "-c", f"echo treasure | sudo tee {volume}")
    node_output(lab, "manager1", *SERVICE, responder, "perl", "-e", SERVER)
    eventually("the service runs", lambda: replicas(lab) == "2/2")
    yield lab
    node_output(lab, "manager1", "docker", "service", "rm", "kept")
    node_output(lab, "worker1", "docker", "volume", "rm", "box")


def replicas(lab: str) -> str:
    return node_output(lab, "manager1", "docker", "service", "ls", "--format", "{{.Replicas}}")


def identities(lab: str) -> set[str]:
    said = labgen("exec", lab, "--", "sh", "-c", IDENTITY).stdout
    return {line.partition(": ")[2] for line in said.splitlines()}


def token(lab: str) -> str:
    return node_output(lab, "manager1", "docker", "swarm", "join-token", "-q", "worker")


def addresses(lab: str) -> dict[str, str]:
    nodes = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    return {node["name"]: node["address"] for node in nodes}


def has_arrived(lab: str) -> None:
    drivers = labgen("exec", lab, "--", "docker", "info", "-f", "{{.Driver}}").stdout.splitlines()
    assert sorted(drivers) == [f"{node}: btrfs" for node in NODES]
    assert node_output(lab, "worker1", "sudo", "cat", "/var/lib/docker/volumes/box/_data/file") == "treasure"
    assert "responder" in node_output(lab, "worker2", "docker", "image", "ls", "--format", "{{.Repository}}")
    eventually("the service runs", lambda: replicas(lab) == "2/2")


def test_beside_the_lab_it_came_from(furnished: str, tmp_path: Path) -> None:
    """Its addresses are taken: it gets others, its Swarm is formed again, and it shares no secret."""
    file = tmp_path / "lab.labgen"
    exported = labgen("export", furnished, "-o", str(file))
    assert "stood still" in exported.stderr
    assert replicas(furnished) == "2/2"
    before, known, secret, taken = on_host(), identities(furnished), token(furnished), addresses(furnished)
    labgen("suspend", furnished)  # two cores carry three machines

    imported = labgen("import", str(file), "--name", "second")
    assert "addresses are taken" in imported.stderr
    assert "Nobody signed" in imported.stderr
    labgen("start", "second")
    assert not set(addresses("second").values()) & set(taken.values())
    has_arrived("second")
    assert not identities("second") & known
    assert token("second") != secret

    labgen("destroy", "second", "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    labgen("resume", furnished)
