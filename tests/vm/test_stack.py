"""Compose files in a real lab's Swarm: deployed, looked at from outside, explained, removed."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import NODES, address, eventually, labgen, node_output, rows

COMPOSE_FILES = Path(__file__).parent / "compose"
SHOP = """\
version: "3.8"
x-common: &common
  image: localhost/hello:${HELLO:-1}
  networks: [front]
services:
  web:
    <<: *common
    container_name: shop
    depends_on: [agent]
    ports:
      - "${PORT}:80"
      - {target: 80, published: 8093, mode: host}
    volumes:
      - ./pages:/pages:ro
      - kept:/kept
    env_file: shop.env
    environment:
      COLOUR:
      NODE: "{{.Node.Hostname}}"
    configs:
      - {source: site, target: /site.conf, mode: 0440, uid: "65534"}
    secrets: [password]
    deploy:
      replicas: 2
      placement:
        constraints: [node.role == worker]
        preferences: [{spread: node.labels.zone}]
        max_replicas_per_node: 1
      update_config: {parallelism: 1, order: stop-first}
      rollback_config: {parallelism: 0}
  agent:
    build: {context: ./agent, args: [COLOUR]}
    networks: [front]
    deploy:
      mode: global
      resources: {limits: {memory: 32M}, reservations: {memory: 16M}}
networks:
  front:
    attachable: true
    driver_opts: {encrypted: ""}
volumes:
  kept:
configs:
  site: {file: ./site.conf}
secrets:
  password: {file: ./password.txt}
"""
DOCKERFILE = """\
FROM localhost/hello:1
ARG COLOUR
USER 0
RUN mkdir /built && echo "$COLOUR" >/built/colour
USER 65534
"""
NOWHERE = """\
version: "3.8"
services:
  web:
    image: localhost/hello:1
    deploy:
      placement: {constraints: [node.labels.disk == ssd]}
  broken:
    image: localhost/hello:1
    entrypoint: [sh, -c, "echo no database >&2; exit 3"]
    deploy: {restart_policy: {condition: on-failure, max_attempts: 1, delay: 1s}}
"""


def answered_by(lab: str, node: str, port: int) -> str:
    with urllib.request.urlopen(f"http://{address(lab, node)}:{port}/", timeout=20) as answer:
        return str(answer.headers["X-Node"])


def services(lab: str) -> list[str]:
    return node_output(lab, "manager1", "docker", "service", "ls", "--format", "{{.Name}}").split()


@pytest.fixture
def none_left(lab: str) -> Iterator[str]:
    """The lab; stacks that a failed test leaves would disturb the next one."""
    yield lab
    for name in {service.split("_")[0] for service in services(lab)}:
        labgen("stack", "remove", lab, name, check=False)


@pytest.mark.slow
def test_hello_spreads_and_every_node_answers(none_left: str) -> None:
    lab = none_left
    deployed = rows(labgen("deploy", lab, "hello", "--format", "json").stdout)
    assert deployed["web"]["tasks"] == "6/6"
    listed = node_output(lab, "manager1", "docker", "service", "ps", "hello_web", "--format", "{{.Node}}").split()
    assert deployed["web"]["nodes"] == {node: listed.count(node) for node in NODES}
    seen: set[str] = set()

    def ask() -> bool:
        seen.add(answered_by(lab, "worker1", 8080))
        return seen == set(NODES)

    eventually("tasks on all nodes answer through one node", ask)
    assert "6 of 6 tasks run" in labgen("why", lab, "web").stdout
    taken = labgen("deploy", lab, "hello", "--name", "again", check=False)
    assert taken.status == 60
    assert "8080/tcp is published by hello_web" in taken.stderr
    assert services(lab) == ["hello_web"]
    labgen("stack", "remove", lab, "hello")
    assert services(lab) == []
    assert node_output(lab, "worker2", "docker", "ps", "-q") == ""


@pytest.fixture
def shop(lab: str, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("first")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "site.conf").write_text("site 1\n")
    (tmp_path / "password.txt").write_text("pw 1\n")
    (tmp_path / "shop.env").write_text("GREETING=from the file\n")
    (tmp_path / ".env").write_text("PORT=8092\n")
    (tmp_path / "compose.yaml").write_text(SHOP)
    yield tmp_path
    labgen("stack", "remove", lab, "shop", check=False)
    labgen("exec", lab, "--", "sh", "-c", "docker volume rm -f shop_kept; sudo rm -rf /var/lib/labgen/stacks/shop")


def in_shop(lab: str, node: str, script: str) -> str:
    found = '"$(docker ps -q -f name=shop_web | head -1)"'
    return node_output(lab, node, "sh", "-c", f"docker exec -u 0 {found} sh -c '{script}'")


@pytest.mark.slow
def test_a_compose_file_as_people_write_them(lab: str, shop: Path) -> None:
    colour = 'it\'s "$red" ;'
    first = labgen("deploy", lab, str(shop), "--name", "shop", "--format", "json", env={"COLOUR": colour})
    found = rows(first.stdout)
    assert (found["web"]["nodes"], found["agent"]["tasks"]) == ({"worker1": 1, "worker2": 1}, "3/3")
    assert "a stack ignores: container_name, depends_on" in first.stderr
    assert answered_by(lab, "worker2", 8093) == "worker2"
    for node in ("worker1", "worker2"):
        said = in_shop(
            lab, node, "cat /pages/index.html /site.conf /run/secrets/password; echo $GREETING; echo $COLOUR"
        )
        assert said.splitlines() == ["firstsite 1", "pw 1", "from the file", colour]
    built = node_output(lab, "worker2", "docker", "images", "--format", "{{.Repository}}", "localhost/shop-agent")
    assert built == "localhost/shop-agent"
    command = 'docker exec "$(docker ps -q -f name=shop_agent | head -1)" cat /built/colour'
    assert node_output(lab, "worker2", "sh", "-c", command) == colour
    left = node_output(lab, "manager1", "sh", "-c", "sudo find /run/labgen/stacks /var/lib/labgen/stacks -type f")
    assert left == ""  # neither variables nor secrets, and the pages are only where they are mounted

    (shop / "pages" / "index.html").write_text("second")
    (shop / "site.conf").write_text("site 2\n")
    (shop / "password.txt").write_text("pw 2\n")
    labgen("deploy", lab, str(shop), "--name", "shop", env={"COLOUR": colour})
    said = in_shop(lab, "worker1", "cat /pages/index.html /site.conf /run/secrets/password")
    assert said.splitlines() == ["secondsite 2", "pw 2"]
    listed = node_output(lab, "manager1", "docker", "secret", "ls", "--format", "{{.Name}}").split()
    assert len(listed) == 2
    assert "hello" not in labgen("stack", "logs", lab, "shop", "web", "--tail", "5").stderr

    removed = labgen("stack", "remove", lab, "shop")
    assert "kept on worker1: shop_kept, /var/lib/labgen/stacks/shop" in removed.stderr
    assert node_output(lab, "manager1", "docker", "secret", "ls", "-q") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tasks", "port"),
    [
        ("vote", {"vote": "2/2", "result": "1/1", "redis": "1/1"}, 5000),
        ("monitor", {"exporter": "3/3"}, 9100),
        ("blog", {"db": "1/1", "web": "3/3"}, 8082),
        ("edge", {"gateway": "1/1", "app": "2/2"}, 8083),
        ("jobs", {"migrate": "2/2", "warm-up": "3/3", "web": "1/1"}, None),
    ],
)
def test_compose_files_with_all_that_stacks_can_do(
    lab: str, name: str, tasks: dict[str, str], port: int | None
) -> None:
    try:
        deployed = labgen("deploy", lab, str(COMPOSE_FILES / f"{name}.yaml"), "--format", "json")
        assert {service: row["tasks"] for service, row in rows(deployed.stdout).items()} == tasks
        if port:
            with urllib.request.urlopen(f"http://{address(lab, 'worker1')}:{port}/health", timeout=20) as answer:
                assert answer.status == 200
    finally:
        labgen("stack", "remove", lab, name, check=False)
        volumes = "docker volume ls -q --filter label=com.docker.stack.namespace | xargs -r docker volume rm"
        labgen("exec", lab, "--", "sh", "-c", volumes)


@pytest.mark.slow
def test_what_does_not_run_is_explained(lab: str, tmp_path: Path) -> None:
    file = tmp_path / "nowhere.yaml"
    file.write_text(NOWHERE)
    try:
        failed = labgen("deploy", lab, str(file), check=False)
        assert failed.status == 60
        assert "node.labels.disk==ssd: no node (manager1: -, worker1: -, worker2: -)" in failed.stderr
        assert "the task ended with exit code 3 on" in failed.stderr
        assert "| no database" in failed.stderr
        assert "labgen stack remove" in failed.stderr
        assert "node.labels.disk==ssd: no node" in labgen("why", lab, "nowhere_web").stdout
    finally:
        labgen("stack", "remove", lab, "nowhere", check=False)

    file.write_text(NOWHERE.replace("localhost/hello:1", "nginx:1.27"))
    failed = labgen("deploy", lab, str(file), check=False)
    assert (failed.status, services(lab)) == (60, [])
    assert "nginx:1.27: not on manager1, worker1, worker2" in failed.stderr
    file.write_text(NOWHERE + "    replicas: 3\n")
    failed = labgen("deploy", lab, str(file), check=False)
    assert (failed.status, services(lab)) == (10, [])
    assert "Additional property replicas is not allowed" in failed.stderr
