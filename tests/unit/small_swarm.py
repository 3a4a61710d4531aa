"""A Swarm in memory that places tasks by the rules of Docker's, at once; its services are a web server of this host.

The rules: a further task goes to the active node that has fewest of the service, satisfies its constraint, and has
the memory that it reserves; a surplus one is taken from the node that has most; what ran on a node that is down or
drained runs elsewhere, and never returns by itself.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from labgen.drills import outage, rebalancing, stage
from labgen.drills.stage import Stage
from labgen.engine import Port, Resources, Service, Task
from labgen.ssh import Result
from labgen.traffic import Target
from tests.unit.engines import Cloud, FakeServices
from tests.unit.host import Host

MEMORY = 2**30  # bytes, of each node
LEAST_MEMORY = 4 * 2**20  # bytes that a task can reserve
MOMENT = "2026-01-01T00:00:00.000000001Z"


class SmallSwarm(FakeServices):
    """:ivar said: the docker commands that were run on a node."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self.cloud, self.born, self.said = cloud, 0, list[str]()
        self.turn = count()  # which task answers next, and what
        self.page, self.has_slow_page = "client 10.201.0.3\nforwarded-for 127.0.0.1\n", True
        self.stuck = False  # further tasks do not start
        self.copies: dict[str, int] = {}  # the containers on each node, as it sees it itself

    def serve(self, name: str, replicas: int, **fields: Any) -> None:
        ports = (Port(8080, 80),)
        self.running.append(
            replace(Service(f"id-{name}", name, "", "app:1", "replicated", replicas, ports=ports), **fields)
        )
        self.settle()

    def listed(self, stack: str = "") -> list[Service]:
        self.settle()
        return super().listed(stack)

    def tasks(self, service: Service | None = None) -> list[Task]:
        self.settle()
        return super().tasks(service)

    def settings(self, name: str) -> dict[str, Any] | None:
        return next(({"replicas": each.desired} for each in self.running if each.name == name), None)

    def set(self, name: str, settings: Mapping[str, Any]) -> None:
        self._change(name, desired=settings["replicas"])

    def remove(self, name: str) -> None:
        """A service, as :meth:`labgen.engine.Services.remove`."""
        gone = {each.id for each in self.running if each.name == name}
        self.running = [each for each in self.running if each.id not in gone]
        self.all_tasks = [each for each in self.all_tasks if each.service_id not in gone]

    def on(self, name: str) -> dict[str, int]:
        """How many tasks of a service run on each node."""
        self.settle()
        hostnames = {node.id: node.hostname for node in self.cloud.entries.values()}
        return dict(Counter(hostnames[task.node_id] for task in self._current(f"id-{name}")))

    def docker(self, node: str, words: Sequence[str]) -> Result:
        self.said.append(" ".join(words))
        match list(words):
            case ["service", "scale", "--detach", what]:
                name, _, number = what.partition("=")
                self._change(name, desired=int(number))
            case ["node", "update", "--availability", availability, hostname]:
                self._set_availability(hostname, availability)
            case ["swarm", "init", "--force-new-cluster", *_]:
                for key, entry in self.cloud.entries.items():
                    if entry.hostname != node and entry.role == "manager":
                        self.cloud.entries[key] = replace(entry, role="worker", leader=False)
                    elif entry.hostname == node:
                        self.cloud.entries[key] = replace(entry, leader=True)
            case ["service", "create", *options, image]:
                return self._create(_options(options), image)
            case ["service", "update", *_, "--reserve-memory", memory, name]:
                return self._reserve(name, int(memory))
            case ["service", "update", "--force", "--detach", name]:
                for task in self._current(f"id-{name}"):
                    self._end(task)
        return Result(0, "", "")

    def _create(self, options: Mapping[str, str], image: str) -> Result:
        replicas = len(self.cloud.entries) if options.get("--mode") == "global" else int(options.get("--replicas", 1))
        reserved = int(options.get("--reserve-memory", 0))
        constraints = (options["--constraint"],) if "--constraint" in options else ()
        self.serve(options["--name"], replicas, image=image, constraints=constraints, ports=())
        return self._reserve(options["--name"], reserved) if reserved else Result(0, "", "")

    def _reserve(self, name: str, memory: int) -> Result:
        if memory < LEAST_MEMORY:
            return Result(1, "", f"invalid memory value {memory}: Must be at least 4MiB")
        self._change(name, reserved=Resources(memory=memory))
        for task in self._current(f"id-{name}"):
            self._end(task)
        self.settle()
        return Result(0, "", "")

    def agent(self, host: Host, node: str, script: str) -> Result:
        """What a machine answers that has no network."""
        if "swarm leave" in script:
            host.engine(node).swarm_leave()
            return Result(0, "", "")
        return Result(0, f"{self.copies.get(node, 0)}\nstate in the Swarm: active\n", "")

    def settle(self) -> None:
        for entry in self.cloud.entries.values():
            if not self.cloud.is_off(entry.hostname):
                here = [task for task in self.all_tasks if (task.node_id, task.state) == (entry.id, "running")]
                self.copies[entry.hostname] = len(here)
        for service in self.running:
            for task in self._current(service.id):
                node = self.cloud.entries[task.node_id]
                if self.cloud.is_off(node.hostname) or node.availability == "drain":
                    self._end(task)
            while len(self._current(service.id)) < service.desired and self._place(service):
                pass
            self._note_waiting(service)
            while len(current := self._current(service.id)) > service.desired:
                counts = Counter(task.node_id for task in current)
                self._end(max(current, key=lambda task: counts[task.node_id]))

    def _place(self, service: Service) -> bool:
        counts = Counter(task.node_id for task in self._current(service.id))
        free = [
            node
            for node in self.cloud.entries.values()
            if node.availability == "active"
            and not self.cloud.is_off(node.hostname)
            and service.constraints in {(), (f"node.hostname=={node.hostname}",)}
            and self._reserved(node.id) + service.reserved.memory <= MEMORY
        ]
        if self.stuck or not free:
            return False
        self.born += 1
        place = min(free, key=lambda node: counts[node.id]).id
        fields = {"created": MOMENT, "image": service.image, "reserved": service.reserved}
        task = Task(f"t{self.born}", service.id, self.born, place, "running", "running", "", "c", MOMENT)
        self.all_tasks.append(replace(task, **fields))  # type: ignore[arg-type]
        return True

    def _note_waiting(self, service: Service) -> None:
        """Tasks without a node."""
        self.all_tasks = [task for task in self.all_tasks if task.node_id or task.service_id != service.id]
        error = "no suitable node (insufficient resources on 1 node)"
        for number in range(service.desired - len(self._current(service.id))):
            waiting = Task(f"w{number}", service.id, 0, "", "pending", "running", error, "", MOMENT)
            self.all_tasks.append(waiting)

    def _reserved(self, node_id: str) -> int:
        here = [each for each in self.all_tasks if (each.node_id, each.state) == (node_id, "running")]
        return sum(each.reserved.memory for each in here)

    def _current(self, service_id: str) -> list[Task]:
        return [task for task in self.all_tasks if task.service_id == service_id and task.state == "running"]

    def _end(self, task: Task) -> None:
        self.all_tasks[self.all_tasks.index(task)] = replace(task, state="shutdown", desired_state="shutdown")

    def _change(self, name: str, **fields: Any) -> None:
        self.running = [replace(each, **fields) if each.name == name else each for each in self.running]

    def _set_availability(self, hostname: str, availability: str) -> None:
        for key, node in self.cloud.entries.items():
            if node.hostname == hostname:
                self.cloud.entries[key] = replace(node, availability=availability)
        self.settle()


def _options(words: Sequence[str]) -> dict[str, str]:
    """Their values, by name; the value of one that is a flag is the next word."""
    return {word: words[index + 1] for index, word in enumerate(words[:-1]) if word.startswith("--")}


@contextmanager
def web_server(status: int = 200) -> Iterator[int]:
    """:return: the port at which every request is answered."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Node", "worker1")
            self.send_header("X-Task", "web.1.t1")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def swarm(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallSwarm]:
    """In place of the one without rules; before any lab is made. Waits are short."""
    found = SmallSwarm(host.cloud)
    host.cloud.memory = MEMORY
    host.cloud.services = found
    host.docker = found.docker
    host.agent = lambda node, script: found.agent(host, node, script)

    def is_off(hostname: str) -> bool:
        domains = [each for each in host.libvirt.listAllDomains() if each.name().endswith(f"_{hostname}")]
        return any(not each.isActive() or each.name() in host.unplugged for each in domains)

    host.cloud.is_off = is_off
    for module, name in [(stage, "STEADY"), (stage, "ANSWER_LIMIT"), (stage, "POLL"), (outage, "QUIET")]:
        monkeypatch.setattr(module, name, 0.1)
    monkeypatch.setattr(rebalancing, "QUIET", 0.1)
    with web_server() as port:

        def targets(self: Stage, without: Sequence[str] = ()) -> list[Target]:
            stage.published(self.service())
            return [Target(node.name, "127.0.0.1", port) for node in self.members() if node.name not in without]

        monkeypatch.setattr(Stage, "targets", targets)
        yield found


def records(text: str) -> list[dict[str, Any]]:
    return list(json.loads(text))
