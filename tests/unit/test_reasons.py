"""Why a service does not run, out of what the managers report."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from labgen.engine import Resources, Service, SwarmNode, Task
from labgen.services.placement import satisfies
from labgen.services.reasons import reasons
from labgen.services.view import View
from labgen.stacks import constraint

GIB = 2**30


def node(name: str, role: str = "worker", **more: object) -> SwarmNode:
    fields = {"labels": {}, "nano_cpus": 10**9, "memory": GIB, **more}
    availability, state = str(fields.pop("availability", "active")), str(fields.pop("state", "ready"))
    return SwarmNode(f"id-{name}", name, role, availability, state, False, **fields)  # type: ignore[arg-type]


NODES = (
    node("manager1", "manager"),
    node("worker1", labels={"disk": "ssd"}),
    node("worker2", engine_labels={"zone": "b"}, availability="drain"),
)
SERVICE = Service("s1", "shop_web", "shop", "app:1", "replicated", desired=2)


numbers = itertools.count()


def task(state: str, error: str = "", on: str = "", **more: Any) -> Task:
    number = next(numbers)
    desired = "shutdown" if state in {"failed", "rejected", "complete", "shutdown"} else "running"
    where, since = f"id-{on}" if on else "", f"2026-01-01T00:00:{number:02}Z"
    return replace(Task(f"t{number}", "s1", 1, where, state, desired, error, "c1", since), **more)


class Witness:
    def __init__(self, lines: str = "", health: str = "") -> None:
        self.lines, self.health = lines, health

    def last_lines(self, _task: Task) -> str:
        return self.lines

    def health_output(self, _task: Task) -> str:
        return self.health


def why(service: Service, *tasks: Task, witness: Witness | None = None) -> str:
    return "\n".join(reasons(service, View((service,), NODES, tasks), witness or Witness()))


def test_a_constraint_that_no_node_satisfies() -> None:
    service = replace(SERVICE, constraints=("node.labels.disk==nvme", "node.role==worker"))
    error = "no suitable node (scheduling constraints not satisfied on 3 nodes)"
    assert why(service, task("pending", error)).splitlines() == [
        "no node can run a further task: scheduling constraints not satisfied on 3 nodes",
        "  node.labels.disk==nvme: no node (manager1: -, worker1: ssd, worker2: -)",
        "  node.role==worker: worker1, worker2 (manager1: manager, worker1: worker, worker2: worker)",
        "  not available: worker2 (drained)",
    ]


def test_resources_that_no_node_has_left() -> None:
    service = replace(SERVICE, reserved=Resources(500_000_000, 700 * 2**20))
    running = task("running", on="worker1", reserved=service.reserved)
    found = why(service, running, task("pending", "no suitable node (insufficient resources on 2 nodes)"))
    assert "each task reserves 0.5 processors, 700 MiB; free:" in found
    assert "manager1: 1 of 1 processors, 1024 of 1024 MiB" in found
    assert "worker1: 0.5 of 1 processors, 324 of 1024 MiB" in found


def test_a_port_of_the_host_and_the_most_on_a_node() -> None:
    service = replace(SERVICE, max_per_node=1)
    running = task("running", on="worker1", host_ports=(8093,))
    error = "no suitable node (host-mode port already in use on 1 node; max replicas per node limit exceed)"
    found = why(service, running, task("pending", error))
    assert "worker1: shop_web has 8093" in found
    assert "at most 1 on a node: worker1 has 1" in found


@pytest.mark.parametrize(
    ("broken", "witness", "words"),
    [
        (
            task("rejected", '"No such image: app:1"', "worker1"),
            Witness("never asked"),
            "the image app:1 is missing on worker1",
        ),
        (
            task("failed", "task: non-zero exit (3)", "worker1"),
            Witness("no database\nbye"),
            "the task ended with exit code 3 on worker1\n  | no database\n  | bye",
        ),
        (
            task("failed", "task: non-zero exit (137)", "worker1"),
            Witness(),
            "the task ended with exit code 137 (killed; perhaps out of memory) on worker1",
        ),
        (
            task("failed", "task: non-zero exit (143): dockerexec: unhealthy container", "manager1"),
            Witness("log", "refused"),
            "the health check failed on manager1\n  health check: refused\n  | log",
        ),
        (
            task("complete", "", "manager1"),
            Witness("", "refused"),
            "the health check failed on manager1\n  health check: refused",
        ),
        (task("complete", "", "manager1"), Witness(), "the task ended by itself, with exit code 0 on manager1"),
        (
            task("rejected", "bind source path does not exist: /x", "gone"),
            Witness(),
            "the task was rejected: bind source path does not exist: /x on a former node",
        ),
        (
            task("failed", "starting container failed: no", "worker2"),
            Witness(),
            "the task failed: starting container failed: no on worker2",
        ),
    ],
)
def test_tasks_that_ended(broken: Task, witness: Witness, words: str) -> None:
    assert why(SERVICE, broken, witness=witness) == words


def test_equal_errors_are_told_once_with_all_nodes() -> None:
    error = "task: non-zero exit (1)"
    found = why(SERVICE, *(task("failed", error, on) for on in ("worker2", "worker1", "worker1")))
    assert found == "the task ended with exit code 1 on worker1, worker2"


def test_a_job_that_is_done_is_no_failure() -> None:
    job = replace(SERVICE, mode="replicated-job", desired=1, completed=1)
    assert why(job, task("complete", on="worker1")) == ""
    assert View((job,), NODES, ()).has_converged(job)


def test_what_is_on_its_way() -> None:
    assert (
        why(SERVICE, task("preparing", on="worker1"), task("preparing", on="manager1"))
        == "preparing on manager1, worker1"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("paused", "the update is paused: because"),
        ("rollback_started", "the update failed and is being rolled back: because"),
        ("rollback_paused", "the rollback is paused: because"),
        ("rollback_completed", "the update failed and was rolled back: because"),
    ],
)
def test_updates(state: str, words: str) -> None:
    service = replace(SERVICE, update_state=state, update_message="because")
    tasks = (task("running", on="worker1"), task("running", on="manager1"))
    assert why(service, *tasks) == words
    assert View((service,), NODES, tasks).has_converged(service) == (state == "rollback_completed")


def test_a_service_that_runs_has_no_reasons() -> None:
    failed = task("failed", "task: non-zero exit (1)", "worker1")
    assert why(SERVICE, failed, task("running", on="worker1"), task("running", on="manager1")) == ""


def test_a_global_service_has_a_task_on_every_node_that_can_run_it() -> None:
    service = replace(SERVICE, mode="global", desired=0)
    view = View((service,), NODES, ())
    assert view.wanted(service) == 2  # worker2 is drained
    assert not view.has_converged(service)  # although Swarm itself says 0 of 0 before it has placed any


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("node.role==manager", "manager1"),
        ("node.role!=manager", "worker1 worker2"),
        ("node.hostname==WORKER1", "worker1"),
        ("node.labels.disk!=ssd", "manager1 worker2"),
        ("engine.labels.zone==b", "worker2"),
        ("node.id==id-worker2", "worker2"),
        ("node.platform.os==linux", "manager1 worker1 worker2"),
        ("node.platform.arch==amd64", "manager1 worker1 worker2"),
        ("node.rolex==worker", ""),
        ("node.ip==10.0.0.1", "manager1 worker1 worker2"),
    ],
)
def test_constraints_select_nodes_as_the_scheduler_does(text: str, fitting: str) -> None:
    wanted = constraint(text)
    assert wanted
    assert " ".join(node.hostname for node in NODES if satisfies(node, wanted)) == fitting
