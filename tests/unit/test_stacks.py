"""The commands deploy, stack and why, on a host without machines; tests/vm runs them on real ones."""

import json
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from labgen import images, ssh
from labgen.engine import EngineImage, Port, Service, Stored, Task
from labgen.errors import ClusterError
from labgen.lab import deploy
from labgen.records import results
from labgen.services import building, convergence, delivery, removal
from tests.unit.commands import Run, run
from tests.unit.host import FakeConnection, Host, host

__all__ = ["host", "run"]  # fixtures
COMPOSE = 'version: "3.8"\nservices:\n  web: {image: "app:1", ports: ["8080:80"], volumes: ["./pages:/pages"]}\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "known", list)  # none has to be built
    monkeypatch.setattr(deploy, "RETRY", 0)
    for module in (convergence, removal):
        monkeypatch.setattr(module, "POLL", 0)
    monkeypatch.setattr(convergence, "STABLE", 0)
    monkeypatch.setattr(convergence, "QUIET", 0.1)


class Manager:
    """The shell of the nodes: Docker creates the services that the test says."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.creates: list[tuple[Service, list[Task]]] = []
        self.says, self.status = "", 0
        self.resolves = ""  # what the last "docker stack deploy" had as --resolve-image
        self.builds = ""  # the id of the image that the next build makes; empty: it fails
        self.files: dict[str, list[str]] = {}  # the files sent, by node
        host.root_shell = self.run

    def run(self, node: str, words: list[str], given: bytes, output: ssh.Sink, errors: ssh.Sink) -> int:
        with tarfile.open(fileobj=BytesIO(given)) as tar:
            self.files.setdefault(node, []).extend(tar.getnames())
        if words[0] == building.BUILD:
            return self.build(words[2], output)
        if words[0] != delivery.DEPLOY:
            return 0
        self.resolves = words[4]
        for service, tasks in self.creates:
            self.host.cloud.services.running.append(service)
            self.host.cloud.services.all_tasks += tasks
            output(f"Creating service {service.name}\n".encode())
        errors(self.says.encode())
        return self.status

    def two(self) -> list[Task]:
        """Tasks that run."""
        return [task(1, self.host, "worker1"), task(2, self.host, "worker2")]

    def build(self, name: str, output: ssh.Sink) -> int:
        output(f"Step 1/1 : FROM {'x' * 100}\n".encode())
        if not self.builds:
            output(b"no such base\n")
            return 1
        identity = self.builds
        self.host.engine("manager1").kept[identity] = EngineImage(identity, (name,), 1)
        return 0


@pytest.fixture
def manager(host: Host) -> Manager:
    return Manager(host)


@pytest.fixture
def lab(host: Host, manager: Manager, run: Run) -> str:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    for name in ("manager1", "worker1", "worker2"):
        host.engine(name).kept["sha256:1"] = EngineImage("sha256:1", ("app:1",), 1)
    return "lab"


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "pages").mkdir()
    path = tmp_path / "shop.yaml"
    path.write_text(COMPOSE)
    return str(path)


def web(**fields: object) -> Service:
    ports = (Port(8080, 80), Port(53, 53, "udp"))
    given = {"image": "app:1", "mode": "replicated", "desired": 2, "ports": ports, **fields}
    return Service("s1", "shop_web", "shop", **given)  # type: ignore[arg-type]


def task(number: int, host: Host, node: str, state: str = "running", error: str = "") -> Task:
    where = next((each.id for each in host.cloud.entries.values() if each.hostname == node), "")
    desired = "running" if state in {"running", "pending"} else "shutdown"
    return Task(f"t{number}", "s1", number, where, state, desired, error, "c1", f"2026-01-0{number}")


def test_a_stack_is_deployed_listed_and_removed(lab: str, file: str, host: Host, manager: Manager, run: Run) -> None:
    manager.creates = [(web(), [task(1, host, "worker1"), task(2, host, "worker2")])]
    manager.says = "Ignoring unsupported options: links\n"
    deployed = run("deploy", lab, file, "--format", "json")
    assert deployed.status == 0
    (row,) = json.loads(deployed.stdout)
    assert (row["service"], row["tasks"], row["nodes"]) == ("web", "2/2", {"worker1": 1, "worker2": 1})
    assert "a stack ignores: links" in deployed.stderr
    assert {node: "pages" in names for node, names in manager.files.items()} == dict.fromkeys(
        ("manager1", "worker1", "worker2"), True
    )
    assert "stack/shop.yaml" in manager.files["manager1"]
    table = run("stack", "list", lab).stdout.splitlines()
    assert table[1].split() == [
        "shop",
        "web",
        "replicated",
        "2/2",
        "8080,",
        "53/udp",
        "worker1",
        "1,",
        "worker2",
        "1",
    ]
    assert max(map(len, table)) <= 80
    assert run("why", lab, "web").stdout == "shop_web: 2 of 2 tasks run: worker1 1, worker2 1\n"
    assert run("stack", "logs", lab, "shop", "--tail", "3").stdout.startswith("sudo -n docker service logs --tail 3")
    host.engine("worker1").all_volumes = {"shop_data": "shop", "other": ""}
    removed = run("stack", "remove", lab, "shop")
    assert removed.stdout == "shop is removed from lab\n"
    assert "kept on worker1: shop_data" in removed.stderr
    assert run("stack", "list", lab).stdout.splitlines()[1:] == []


def test_deploys_are_kept_with_the_lab(lab: str, file: str, host: Host, manager: Manager, run: Run) -> None:
    run("deploy", lab, file, "--detach")
    manager.creates = [(web(), manager.two())]
    run("deploy", lab, file)
    manager.creates = [(web(), [task(1, host, "worker2", "failed", "task: non-zero exit (3)")])]
    host.cloud.services.all_tasks.clear()
    run("deploy", lab, file)
    detached, passed, failed = results.every(lab)
    assert [each.verdict for each in (detached, passed, failed)] == ["detached", "passed", "failed"]
    assert (passed.kind, passed.name, passed.tasks) == ("deploy", "shop", {"after": {"worker1": 1, "worker2": 1}})
    assert passed.steps[0].command == f"docker stack deploy -c {Path(file).name} shop"
    assert [(check.text, check.passed) for check in passed.checks] == [("web: 2 of 2 tasks run", True)]
    assert "exit code 3" in failed.checks[0].evidence


@pytest.mark.parametrize(("words", "status"), [("network x is in use", 0), ("network x not found", 0), ("no", 60)])
def test_only_what_does_not_pass_ends_a_removal(
    lab: str, host: Host, run: Run, monkeypatch: pytest.MonkeyPatch, words: str, status: int
) -> None:
    host.cloud.services.running = [web()]
    refusals, answer = [ssh.Result(1, "", words)], FakeConnection.run

    def refuse_once(self: FakeConnection, command: list[str], **options: Any) -> ssh.Result:
        if command[2:5] == ["docker", "stack", "rm"] and refusals:
            return refusals.pop()
        return answer(self, command, **options)

    monkeypatch.setattr(FakeConnection, "run", refuse_once)
    assert run("stack", "remove", lab, "shop").status == status
    assert bool(host.cloud.services.running) == bool(status)


def test_who_does_not_wait_gets_what_is_there(lab: str, file: str, manager: Manager, run: Run) -> None:
    manager.creates = [(web(), [])]
    (row,) = json.loads(run("deploy", lab, file, "--detach", "--format", "json").stdout)
    assert row["tasks"] == "0/2"


def test_what_does_not_run_is_explained(lab: str, file: str, host: Host, manager: Manager, run: Run) -> None:
    manager.creates = [
        (web(), [task(1, host, "worker1"), task(2, host, "worker2", "failed", "task: non-zero exit (3)")])
    ]
    failed = run("deploy", lab, file)
    assert failed.status == 60
    assert "shop is deployed, but does not run as it should: web" in failed.stderr
    assert "the task ended with exit code 3 on worker2\n      | last words" in failed.stderr
    assert "labgen stack remove lab shop" in failed.stderr
    found = run("why", lab, "shop_web", "--format", "json")
    (row,) = json.loads(found.stdout)
    assert (row["running"], row["wanted"], row["converged"]) == (1, 2, False)
    assert row["reasons"] == ["the task ended with exit code 3 on worker2\n  | last words"]


@pytest.mark.parametrize("state", ["paused", "rollback_completed"])
def test_an_update_that_stopped_is_a_failure(lab: str, file: str, manager: Manager, run: Run, state: str) -> None:
    manager.creates = [(web(update_state=state, update_message="too many failures"), manager.two())]
    failed = run("deploy", lab, file)
    assert failed.status == 60
    assert "too many failures" in failed.stderr


def test_the_limit_passes(
    lab: str, file: str, host: Host, manager: Manager, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "QUIET", 1000)
    manager.creates = [(web(), [task(1, host, "worker1", "pending", "no suitable node (x)")])]
    failed = run("deploy", lab, file, "--timeout", "0.1")
    assert (failed.status, "waited for 0 s" in failed.stderr) == (60, True)


def test_a_task_on_a_node_that_is_down_does_not_run(
    lab: str, file: str, host: Host, manager: Manager, run: Run
) -> None:
    """Its last report was that it runs, and Docker goes on counting it."""
    host.cloud.is_off = lambda hostname: hostname == "worker2"
    manager.creates = [(web(), manager.two())]
    failed = run("deploy", lab, file)
    assert "web: 1 of 2 tasks run" in failed.stderr
    host.cloud.services.all_tasks[1] = replace(manager.two()[1], desired_state="shutdown")
    assert run("why", lab, "web").stdout.startswith("shop_web: 1 of 2 tasks run: worker1 1\n")
    assert run("stack", "remove", lab, "shop").status == 0


def test_a_pause_between_two_tasks_of_an_update_is_no_failure(
    lab: str, file: str, host: Host, manager: Manager, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "QUIET", 0)
    manager.creates = [(web(update_state="updating"), manager.two())]
    listed, looks = host.cloud.services.listed, [0]

    def updated(stack: str = "") -> list[Service]:
        looks[0] += 1
        return [replace(each, update_state="completed") if looks[0] > 8 else each for each in listed(stack)]

    monkeypatch.setattr(host.cloud.services, "listed", updated)
    assert run("deploy", lab, file).status == 0
    assert looks[0] > 8


def test_why_a_task_waits_is_said_again_by_a_second_deploy(
    lab: str, file: str, host: Host, manager: Manager, run: Run
) -> None:
    host.cloud.services.running.append(web())
    host.cloud.services.all_tasks.append(task(1, host, "", "pending", "no suitable node (x)"))
    for _ in range(2):
        assert "no node can run a further task: x" in run("deploy", lab, file).stderr


def test_a_task_that_does_its_work_once_is_done(lab: str, file: str, host: Host, manager: Manager, run: Run) -> None:
    manager.creates = [(web(desired=1, restarts="on-failure"), [task(1, host, "worker1", "complete")])]
    assert run("deploy", lab, file).status == 0


def test_former_services_are_told_and_not_waited_for(
    lab: str, file: str, host: Host, manager: Manager, run: Run
) -> None:
    former = replace(web(), id="s9", name="shop_old", update_state="paused", ports=())
    host.cloud.services.running.append(former)
    manager.creates = [(web(), manager.two())]
    deployed = run("deploy", lab, file)
    assert deployed.status == 0
    assert "not in the compose file, and left running: shop_old" in deployed.stderr
    host.cloud.services.running[0] = replace(former, ports=(Port(8080, 80),))
    assert "8080/tcp is published by shop_old" in run("deploy", lab, file).stderr


def test_a_manager_that_is_lost_does_not_end_the_wait(
    lab: str, file: str, host: Host, manager: Manager, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.creates = [(web(), manager.two())]
    wait, calls = convergence.wait, [0]

    def lost_once(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise ClusterError("the swarm does not have a leader")
        return wait(*arguments, **more)

    monkeypatch.setattr(convergence, "wait", lost_once)
    deployed = run("deploy", lab, file)
    assert (deployed.status, "asking another manager" in deployed.stderr) == (0, True)


def test_a_stack_that_is_removed_meanwhile(lab: str, file: str, manager: Manager, run: Run) -> None:
    manager.creates = []
    failed = run("deploy", lab, file)
    assert (failed.status, "were removed while labgen waited" in failed.stderr) == (60, True)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (
            COMPOSE.replace("app:1", "other:2"),
            60,
            "other:2: not on manager1, worker1, worker2\n    no route to the registry",
        ),
        (COMPOSE.replace("8080", "9090"), 60, "9090/tcp is published by other_web"),
        (COMPOSE + "  two: {image: a, ports: ['8080:1']}\n", 10, "web and two both publish port 8080/tcp"),
        (
            COMPOSE
            + "".join(f"{each}s: {{{each[0]}: {{external: true}}}}\n" for each in ("network", "volume", "secret")),
            60,
            "  network n\n  volume v\n  secret s\n",
        ),
        ("web\n", 10, "not a compose file"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_created(
    lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run, content: str, status: int, words: str
) -> None:
    (tmp_path / "pages").mkdir()
    other = Service("s2", "other_web", "other", "a", "replicated", 1, ports=(Port(9090, 80),))
    host.cloud.services.running.append(other)
    (tmp_path / "shop.yaml").write_text(content)
    failed = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert failed.status == status
    assert words in failed.stderr
    assert manager.files == {}


def test_an_image_that_some_nodes_lack_is_told(lab: str, file: str, host: Host, manager: Manager, run: Run) -> None:
    host.engine("worker2").kept.clear()
    manager.creates = [(web(), manager.two())]
    deployed = run("deploy", lab, file)
    assert "web: worker2 cannot run it without the image app:1" in deployed.stderr
    assert deployed.status == 0


def test_a_file_that_docker_refuses_is_the_users_mistake(lab: str, file: str, manager: Manager, run: Run) -> None:
    manager.status, manager.says = 1, "services.web Additional property replicas is not allowed\n"
    failed = run("deploy", lab, file)
    assert (failed.status, manager.says.strip() in failed.stderr) == (10, True)
    manager.says = "unsupported Compose file version: 1.0\n"
    assert 'add version: "3.8" as the first line' in run("deploy", lab, file).stderr


def test_a_new_stack_that_is_half_made_is_removed(
    lab: str, file: str, host: Host, manager: Manager, run: Run
) -> None:
    manager.creates, manager.status, manager.says = (
        [(web(), manager.two())],
        1,
        "failed to create service shop_db: no\n",
    )
    failed = run("deploy", lab, file)
    assert failed.status == 60
    assert "what had been created is removed again" in failed.stderr
    assert host.cloud.services.running == []


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM base\n")
    (tmp_path / "shop.yaml").write_text(
        'version: "3.8"\nservices:\n  web: {build: {context: ./app, target: last, args: {A: b}}}\n'
    )
    return str(tmp_path / "shop.yaml")


def test_an_image_is_built_once_and_brought_to_all(
    lab: str, source: str, host: Host, manager: Manager, run: Run
) -> None:
    manager.builds = f"sha256:{'ab' * 32}"
    manager.creates = [(web(image="localhost/shop-web:latest-abababababab"), manager.two())]
    deployed = run("deploy", lab, source)
    assert deployed.status == 0
    assert "building localhost/shop-web:latest: FROM xxx" in deployed.stderr
    for node in ("manager1", "worker1", "worker2"):
        assert "localhost/shop-web:latest-abababababab" in host.engine(node).kept[manager.builds].names
    assert "context/Dockerfile" in manager.files["manager1"]
    assert not any("context" in name for name in manager.files.get("worker1", ()))


def test_a_build_that_fails_says_why_and_deploys_nothing(
    lab: str, source: str, host: Host, manager: Manager, run: Run
) -> None:
    failed = run("deploy", lab, source)
    assert failed.status == 60
    assert "the image localhost/shop-web:latest cannot be built" in failed.stderr
    assert "no such base" in failed.stderr
    assert host.cloud.services.running == []


def test_an_old_stack_is_kept_when_its_update_fails(
    lab: str, file: str, host: Host, manager: Manager, run: Run
) -> None:
    host.cloud.services.all_networks["shop_default"] = "shop"
    manager.creates, manager.status, manager.says = (
        [(web(), manager.two())],
        1,
        "failed to update service shop_db: no\n",
    )
    failed = run("deploy", lab, file)
    assert "The other services were updated. Deploy again." in failed.stderr
    assert len(host.cloud.services.running) == 1


def test_variables_that_are_not_set_are_told(lab: str, tmp_path: Path, manager: Manager, run: Run) -> None:
    (tmp_path / "a.yaml").write_text('version: "3.8"\nservices: {web: {image: "app:1", command: [$NOTHING_SET]}}\n')
    manager.creates = [(web(), manager.two())]
    assert "variables that are not set are empty: NOTHING_SET" in run("deploy", lab, str(tmp_path / "a.yaml")).stderr


def test_secrets_are_compared_with_those_in_the_swarm(
    lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run
) -> None:
    (tmp_path / "pw").write_text("hidden")
    content = 'version: "3.8"\nservices: {web: {image: "app:1"}}\nsecrets: {pw: {file: ./pw}}\n'
    (tmp_path / "shop.yaml").write_text(content)
    host.cloud.services.all_secrets = [Stored("shop_pw", {})]
    manager.creates = [(web(), manager.two())]
    deployed = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert deployed.status == 0
    assert "hidden" not in deployed.stderr + deployed.stdout
    assert "secrets/pw" in manager.files["manager1"]


NEEDS = """\
version: "3.8"
x-labgen: {labels: {database: true}, secrets: [shop-password]}
services:
  web: {image: "app:1", deploy: {placement: {constraints: [node.labels.database == true, node.hostname != worker1]}}}
secrets:
  password: {external: true, name: shop-password}
"""


def test_what_a_stack_needs_is_made_once(lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run) -> None:
    (tmp_path / "shop.yaml").write_text(NEEDS)
    manager.creates = [(web(desired=1), [task(1, host, "worker2")])]
    deployed = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert deployed.status == 0
    assert "worker2 has the label database=true now" in deployed.stderr
    assert "the secret shop-password is new" in deployed.stderr
    labelled = [node.hostname for node in host.cloud.entries.values() if node.labels.get("database")]
    assert labelled == ["worker2"]
    content = host.cloud.services.contents["shop-password"]
    assert len(content) == 24
    assert content not in deployed.stderr + deployed.stdout

    manager.creates = []
    again = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert (again.status, "is new" in again.stderr, "has the label" in again.stderr) == (0, False, False)
    assert host.cloud.services.contents == {"shop-password": content}


def test_a_label_stays_on_a_node_that_is_down(
    lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run
) -> None:
    """The data is there."""
    (tmp_path / "shop.yaml").write_text(NEEDS)
    worker = next(each for each in host.cloud.entries.values() if each.hostname == "worker1")
    host.cloud.entries[worker.id] = replace(worker, labels={"database": "true"})
    host.cloud.is_off = lambda hostname: hostname == "worker1"
    manager.creates = [(web(desired=1), [task(1, host, "", "pending", "no suitable node (x)")])]
    failed = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert (failed.status, "has the label" in failed.stderr) == (60, False)


def test_nothing_is_made_for_a_stack_that_lacks_something(
    lab: str, tmp_path: Path, host: Host, manager: Manager, run: Run
) -> None:
    (tmp_path / "shop.yaml").write_text(NEEDS + "  other: {external: true}\n")
    failed = run("deploy", lab, str(tmp_path / "shop.yaml"))
    assert (failed.status, "secret other\n" in failed.stderr, "shop-password" in failed.stderr) == (60, True, False)
    assert (host.cloud.services.contents, manager.files) == ({}, {})
    assert not any("database" in node.labels for node in host.cloud.entries.values())


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("stack", "remove", "lab", "shpo"), 2, "has no stack named 'shpo'"),
        (("stack", "logs", "lab", "shop", "wbe"), 2, "has no service named 'wbe'"),
        (("why", "lab", "wbe"), 2, "has no service named 'wbe'"),
        (("why", "lba", "web"), 2, "there is no lab named 'lba'"),
        (("deploy", "lab", "helo"), 2, "neither a stack nor a compose file"),
        (("deploy", "lab", "hello", "--name", "A B"), 2, "not a valid stack name"),
    ],
)
def test_wrong_names(lab: str, host: Host, run: Run, words: tuple[str, ...], status: int, told: str) -> None:
    host.cloud.services.running.append(web())
    failed = run(*words)
    assert (failed.status, told in failed.stderr) == (status, True)


def test_one_name_in_two_stacks_is_refused(lab: str, host: Host, run: Run) -> None:
    host.cloud.services.running += [web(), Service("s3", "b_web", "b", "a", "replicated", 1)]
    failed = run("why", lab, "web")
    assert (failed.status, "shop_web, b_web" in failed.stderr) == (2, True)


def test_a_lab_that_is_off_or_has_no_swarm(lab: str, file: str, run: Run) -> None:
    assert run("stop", lab).status == 0
    for words in (("deploy", lab, file), ("stack", "list", lab), ("why", lab, "web")):
        failed = run(*words)
        assert (failed.status, "labgen start lab" in failed.stderr) == (50, True)
    assert run("create", "three-node-btrfs", "--set", "orchestrator=none", "--name", "alone").status == 0
    assert run("deploy", "alone", file).status == 2


def test_the_stacks_that_come_with_labgen(run: Run) -> None:
    rows = json.loads(run("stack", "list", "--format", "json").stdout)
    assert [row["stack"] for row in rows] == ["clinic", "hello", "lamp"]
    assert all(Path(row["file"]).is_file() for row in rows)
