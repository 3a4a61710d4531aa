"""``deploy`` in a lab with an image registry, without machines; tests/vm/test_registry.py has a real one."""

from pathlib import Path

import pytest

from labgen.engine import EngineImage
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.test_stacks import Manager, manager, quick, source, web

__all__ = ["host", "manager", "quick", "run", "source"]  # fixtures
BUILT = f"sha256:{'ab' * 32}"
VERSION = "manager1:5000/shop-web:latest-abababababab"


@pytest.fixture
def lab(host: Host, manager: Manager, run: Run) -> str:
    assert run("create", "three-node-registry", "--name", "lab").status == 0
    return "lab"


def file(directory: Path, services: str) -> str:
    path = directory / "shop.yaml"
    path.write_text(f'version: "3.8"\nservices:\n  web: {services}\n')
    return str(path)


def test_a_built_image_is_pushed_and_pulled_from_there(
    lab: str, source: str, host: Host, manager: Manager, run: Run
) -> None:
    manager.builds = BUILT
    manager.creates = [(web(image=VERSION), manager.two())]
    deployed = run("deploy", lab, source)
    assert deployed.status == 0, deployed.stderr
    assert host.cloud.pushed == {"manager1:5000/shop-web:latest", VERSION}
    assert f"pushing {VERSION}" in deployed.stderr
    assert host.engine("worker1").kept == {}
    assert manager.resolves == "always"  # so that Swarm notes the digest


def test_an_image_that_names_the_registry_is_built_and_pushed_as_it_is(
    lab: str, tmp_path: Path, source: str, host: Host, manager: Manager, run: Run
) -> None:
    manager.builds = BUILT
    manager.creates = [(web(), manager.two())]
    named = file(tmp_path, '{build: ./app, image: "manager1:5000/app:3"}')
    assert run("deploy", lab, named).status == 0
    assert host.cloud.pushed == {"manager1:5000/app:3", "manager1:5000/app:3-abababababab"}


def test_an_image_of_the_same_name_from_elsewhere_is_not_mistaken_for_the_built_one(
    lab: str, tmp_path: Path, source: str, manager: Manager, run: Run
) -> None:
    manager.builds = BUILT
    services = '{build: ./app, image: "me/app:1"}\n  other: {image: "ghcr.io/me/app:1"}'
    failed = run("deploy", lab, file(tmp_path, services))
    assert failed.status == 60
    assert "ghcr.io/me/app:1: not on manager1, worker1, worker2" in failed.stderr


def test_a_registry_that_does_not_take_it_is_named(
    lab: str, source: str, host: Host, manager: Manager, run: Run
) -> None:
    manager.builds, host.cloud.refuses_pushes = BUILT, "connection refused"
    failed = run("deploy", lab, source)
    assert failed.status == 60
    assert "the image manager1:5000/shop-web:latest cannot be pushed to the lab's registry" in failed.stderr
    assert "connection refused" in failed.stderr
    assert "labgen status lab --check" in failed.stderr
    assert host.cloud.services.running == []


def test_an_image_in_the_registry_is_pinned_even_if_all_nodes_have_it(
    lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run
) -> None:
    for node in ("manager1", "worker1", "worker2"):
        host.engine(node).kept["sha256:1"] = EngineImage("sha256:1", ("manager1:5000/app:1",), 1)
    host.cloud.pushed.add("manager1:5000/app:1")
    manager.creates = [(web(), manager.two())]
    assert run("deploy", lab, file(tmp_path, '{image: "manager1:5000/app:1"}')).status == 0
    assert manager.resolves == "always"


def test_an_image_that_the_registry_lacks_can_be_pushed(lab: str, tmp_path: Path, run: Run) -> None:
    failed = run("deploy", lab, file(tmp_path, '{image: "manager1:5000/app:1"}'))
    assert failed.status == 60
    assert "or push them to manager1:5000" in failed.stderr


def test_nobody_takes_the_registrys_port(lab: str, tmp_path: Path, run: Run) -> None:
    failed = run("deploy", lab, file(tmp_path, '{image: "app:1", ports: ["5000:80"]}'))
    assert failed.status == 60
    assert "web of shop publishes port 5000/tcp, which the lab's registry has" in failed.stderr
