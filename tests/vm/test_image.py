"""An image out of a file, on the nodes of a real lab."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.vm.conftest import LABGEN, NODES, eventually, labgen, make_image, node_output


def rows(lab: str, file: Path, *options: str) -> dict[str, str]:
    loaded = labgen("image", "load", lab, str(file), *options, "--format", "json").stdout
    return {row["node"]: row["result"] for row in json.loads(loaded)}


def test_an_image_comes_to_all_nodes(lab: str, tmp_path: Path) -> None:
    make_image(lab, "travels", "manager1")
    file = tmp_path / "travels.tar"
    save = [*LABGEN, "exec", lab, "--node", "manager1", "--", "docker", "save", "travels"]
    with file.open("wb") as out:
        subprocess.run(save, stdout=out, stdin=subprocess.DEVNULL, env=os.environ, check=True)

    assert rows(lab, file) == {"manager1": "present", "worker1": "loaded", "worker2": "loaded"}
    assert set(rows(lab, file).values()) == {"present"}
    ids = labgen("exec", lab, "--", "docker", "image", "inspect", "-f", "{{.Id}}", "travels").stdout
    assert len({line.split()[-1] for line in ids.splitlines()}) == 1
    said = node_output(
        lab, "worker2", "docker", "run", "--rm", "--network=none", "travels", "perl", "-e", "print 6*7"
    )
    assert said == "42"

    assert rows(lab, file, "--as", "shop:2", "--node", "worker1") == {"worker1": "loaded"}
    assert node_output(lab, "worker1", "docker", "images", "-q", "shop:2")
    labgen("exec", lab, "--", "sh", "-c", "docker rmi shop:2 2>/dev/null; docker rmi travels >/dev/null")


@pytest.mark.slow  # a further load for the machines of make test
def test_hello_says_on_which_node_it_runs(lab: str) -> None:
    assert {
        row["result"] for row in json.loads(labgen("image", "load", lab, "hello", "--format", "json").stdout)
    } == {"loaded"}
    held = {image: row for row in listed(lab) for image in row["images"]}
    assert held["localhost/hello:1"]["nodes"] == list(NODES)
    command = ["docker", "service", "create", "--detach", "--no-resolve-image", "--name", "hello", "--replicas", "3"]
    command += ["--env", "NODE={{.Node.Hostname}}", "--env", "TASK={{.Task.Name}}", "--publish", "8081:80"]
    node_output(lab, "manager1", *command, "localhost/hello:1")
    page = f"http://{address(lab, 'worker1')}:8081/"
    seen: set[str] = set()

    def ask() -> bool:
        with urllib.request.urlopen(page, timeout=10) as answer:
            said = dict(line.split(" ", 1) for line in answer.read().decode().splitlines())
            assert answer.headers["X-Node"] == said["node"]
            assert said["task"].startswith("hello.")
            seen.add(said["node"])
        return seen == set(NODES)

    try:
        eventually("the tasks of all nodes answer", ask)
    finally:
        node_output(lab, "manager1", "docker", "service", "rm", "hello")


def listed(lab: str) -> list[dict[str, list[str]]]:
    return list(json.loads(labgen("image", "list", lab, "--format", "json").stdout))


def address(lab: str, node: str) -> str:
    nodes = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    return next(str(each["address"]) for each in nodes if each["name"] == node)
