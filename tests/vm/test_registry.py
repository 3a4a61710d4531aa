"""A lab's own image registry: what people do with one, what no two labs share, and what is deployed through it."""

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import eventually, labgen, node_output, on_host

pytestmark = pytest.mark.slow
PLACE = "manager1:5000"
# The registry is its own mirror of Docker Hub.
ASKED = ["three-node-registry", "--set", "nodes.worker.count=1", "--set", f"registry_mirror=https://{PLACE}"]
CERTIFICATE = f"/etc/docker/certs.d/{PLACE}/labgen.crt"
COMPOSE = f"""\
version: "3.8"
services:
  web:
    build: ./web
    environment: {{NODE: "{{{{.Node.Hostname}}}}"}}
    deploy: {{placement: {{constraints: [node.role == worker]}}}}
    ports: ["8090:80"]
  named:
    build: ./web
    image: {PLACE}/named:3
  hub:
    image: hello:1
"""


@pytest.fixture(scope="module")
def before(lab: str) -> Iterator[dict[str, set[str]]]:
    """What was on the host. The other lab is stopped: two cores cannot run more machines than these tests have."""
    labgen("suspend", lab)
    yield on_host()
    labgen("resume", lab)


@pytest.fixture(scope="module")
def shop(before: dict[str, set[str]]) -> Iterator[str]:
    labgen("create", *ASKED, "--name", "shop")
    labgen("image", "load", "shop", "hello", "--node", "manager1")
    for name in (f"{PLACE}/hello:1", f"{PLACE}/library/hello:1"):
        docker("manager1", "tag", "localhost/hello:1", name)
        docker("manager1", "push", name)
    yield "shop"
    labgen("destroy", "shop", "--yes", "--if-exists")


def docker(node: str, *command: str, lab: str = "shop") -> str:
    return node_output(lab, node, "docker", *command)


def status(lab: str = "shop") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(labgen("status", lab, "--format", "json").stdout)
    return content


def asked(path: str, certificate: str, lab: str = "shop") -> Any:
    """The registry's answer to this host."""
    trust = ssl.create_default_context(cafile=certificate)
    url = f"https://{status(lab)['registry']['address']}/v2/{path}"
    with urllib.request.urlopen(url, timeout=30, context=trust) as answer:
        return json.load(answer)


def certificates(lab: str) -> set[str]:
    """The registry's CA, as each node and this host know it."""
    known = {node_output(lab, node["name"], "cat", CERTIFICATE) for node in status(lab)["nodes"]}
    return known | {Path(status(lab)["registry"]["certificate"]).read_text().strip()}


def test_images_go_from_node_to_node_by_name_by_digest_and_as_services(shop: str) -> None:
    docker("worker1", "pull", f"{PLACE}/hello:1")
    digest = docker("worker1", "image", "inspect", "-f", "{{index .RepoDigests 0}}", f"{PLACE}/hello:1")
    assert digest.startswith(f"{PLACE}/hello@sha256:")
    docker("worker1", "rmi", f"{PLACE}/hello:1")
    docker("worker1", "pull", digest)
    docker("worker1", "tag", digest, f"{PLACE}/from-worker:2")
    docker("worker1", "push", f"{PLACE}/from-worker:2")
    docker("manager1", "pull", f"{PLACE}/from-worker:2")
    assert set(asked("_catalog", status()["registry"]["certificate"])["repositories"]) >= {"hello", "from-worker"}

    on_worker = ["--constraint", "node.hostname==worker1"]
    docker("manager1", "service", "create", "--name", "one", *on_worker, f"{PLACE}/from-worker:2")
    image = docker("manager1", "service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", "one")
    assert image == f"{PLACE}/from-worker:2@{digest.partition('@')[2]}"
    assert "one." in docker("worker1", "ps", "--format", "{{.Names}}")
    docker("manager1", "service", "rm", "one")


def test_who_does_not_trust_the_ca_is_refused(shop: str) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        asked("_catalog", "/etc/ssl/certs/ca-certificates.crt")
    node_output(shop, "worker1", "sudo", "mv", CERTIFICATE, "/root/away")
    refused = labgen("exec", shop, "--node", "worker1", "--", "docker", "pull", f"{PLACE}/hello:1", check=False)
    assert "x509: certificate signed by unknown authority" in refused.stdout + refused.stderr
    assert "Docker does not trust manager1:5000" in labgen("status", shop, "--check", check=False).stdout
    labgen("start", shop)  # puts it right
    docker("worker1", "pull", f"{PLACE}/hello:1")


def test_the_mirror_serves_docker_hubs_images(shop: str) -> None:
    docker("worker1", "pull", "hello:1")


def test_what_deploy_builds_is_pushed_pulled_and_pinned(shop: str, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text("FROM localhost/hello:1\nENV BUILT=yes\n")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    deployed = labgen("deploy", shop, str(tmp_path), "--name", "built", "--timeout", "900")
    assert f"pushing {PLACE}/built-web:latest" in deployed.stderr
    template = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    images = docker(
        "manager1", "service", "inspect", "-f", template, "built_web", "built_named", "built_hub"
    ).splitlines()
    for image, start in zip(images, (f"{PLACE}/built-web:latest-", f"{PLACE}/named:3-", "hello:1@"), strict=True):
        assert image.startswith(start)
        assert "@sha256:" in image
    assert asked("named/tags/list", status()["registry"]["certificate"])["tags"][0] == "3"
    assert labgen("stack", "list", shop).stdout.count("1/1") == 3
    labgen("stack", "remove", shop, "built")


def test_it_is_there_after_a_stop_and_reported_when_it_is_not(shop: str) -> None:
    known = certificates(shop)
    assert len(known) == 1
    labgen("stop", shop)
    labgen("start", shop)
    assert certificates(shop) == known
    docker("worker1", "pull", f"{PLACE}/hello:1")
    node_output(shop, "manager1", "sudo", "systemctl", "stop", "docker-registry")
    ill = labgen("status", shop, "--check", "--format", "json", check=False)
    assert ill.status == 50
    found = {each["node"]: each for each in json.loads(ill.stdout)["health"] if each["check"] == "registry"}
    assert {each["status"] for each in found.values()} == {"fail"}
    assert "does not answer" in found["worker1"]["evidence"]
    assert found["worker1"]["fix"] == f"labgen start {shop}"
    labgen("start", shop)
    eventually("the registry answers", lambda: labgen("status", shop, "--check", check=False).status == 0, 60)


def test_no_other_lab_has_its_ca(shop: str, before: dict[str, set[str]], tmp_path: Path) -> None:
    """Neither one that is made from the same template, nor one that is received with its disks."""
    known = certificates(shop)
    labgen("export", shop, "-o", str(tmp_path / "shop.labgen"))
    labgen("suspend", shop)
    warm = labgen("create", *ASKED, "--name", "warm")
    assert "starting from the template" in warm.stderr
    others = certificates("warm")
    assert len(others) == 1
    assert not others & known
    labgen("destroy", "warm", "--yes")

    labgen("import", str(tmp_path / "shop.labgen"), "--name", "received")
    labgen("start", "received")
    received = certificates("received")
    assert len(received) == 1
    assert not received & (known | others)
    docker("worker1", "pull", f"{PLACE}/hello:1", lab="received")  # the images came along
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        asked("", status(shop)["registry"]["certificate"], "received")
    assert asked("", status("received")["registry"]["certificate"], "received") == {}
    labgen("destroy", "received", "--yes")

    labgen("destroy", shop, "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    assert not (Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / shop).exists()
