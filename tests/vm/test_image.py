"""An image out of a file, on the nodes of a real lab."""

import json
import os
import subprocess
from pathlib import Path

from tests.vm.conftest import LABGEN, labgen, make_image, node_output


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
