"""Load balancers of a lab without machines: web servers of this host that do what their configurations say.

They have the backends that labgen has written into the configuration of the machine; a backend answers if its machine
runs. They fail as the real programs do: nginx and HAProxy ask another backend after a while, HAProxy leaves out one
that it has found lost, the kernel goes on.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from labgen.drills import balance, comparison, in_flight, lanes, nodes, stage
from labgen.drills.entrances import Entrance
from labgen.drills.stage import Stage
from labgen.traffic import Target
from tests.unit.host import Host
from tests.unit.small_swarm import SmallSwarm

WAITS = 0.6  # seconds for a backend that is gone
NOTICES = 0.3  # seconds until HAProxy has noticed that one is
MANAGERS_NOTICE = 2.0  # seconds until the managers have
LINES = {  # a backend that gets new clients
    "nginx": r"server [0-9.]+:8080 max_fails=2 fail_timeout=1s; # (\S+)",
    "haproxy": r"server (\S+) [0-9.]+:8080(?: cookie \S+)?$",
    "nftables": r": goto port0_(\w+)",
}
KEEPING = re.compile(r"labgen_backend=([\w:.]+)")


class Front(ThreadingHTTPServer):
    """:param node: the balancer, or a node whose mesh answers. :param program: empty: that is the case."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, node: str, program: str, host: Host, swarm: SmallSwarm) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.node, self.program, self.host, self.swarm = node, program, host, swarm
        self.lost_since: dict[str, float] = {}
        self._numbers, self._lock = count(), threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def config(self) -> str:
        return "\n".join(self.host.machine(self.node).config.values())

    def backends(self) -> list[str]:
        """In the order in which they are tried for the next request."""
        if not self.program:
            return [self.node]
        found = list(dict.fromkeys(re.findall(LINES[self.program], self.config(), re.MULTILINE)))
        with self._lock:
            first = next(self._numbers) % max(1, len(found))
        found = found[first:] + found[:first]
        if self.program == "haproxy":
            for each in found:  # its checks
                self.is_off(each)
            now = time.monotonic()
            found = [each for each in found if now - self.lost_since.get(each, now) < NOTICES]
        return found if self.program != "nftables" else found[:1]

    def is_off(self, backend: str) -> bool:
        """:param backend: a node, or a task as ``worker1:web.3``."""
        off = self.swarm.cloud.is_off(backend.partition(":")[0])
        if off:
            self.lost_since.setdefault(backend, time.monotonic())
        else:
            self.lost_since.pop(backend, None)
        return off


class Answering(BaseHTTPRequestHandler):
    server: Front

    def do_GET(self) -> None:
        asked = KEEPING.search(self.headers.get("Cookie", ""))
        sticky = self.server.program and "labgen_backend" in self.server.config()
        backends = self.server.backends()
        if asked and sticky:
            backends.sort(key=lambda each: each != asked[1])
        for backend in backends:
            if not self.server.is_off(backend):
                self._answer(backend, setting=bool(sticky) and not (asked and asked[1] == backend))
                return
            time.sleep(WAITS)
        self.close_connection = True  # nobody answers

    def _answer(self, backend: str, *, setting: bool) -> None:
        _, _, seconds = self.path.partition("/slow?s=")
        text = self.server.swarm.page
        if seconds and self.server.swarm.has_slow_page:
            time.sleep(int(seconds))
            if self.server.is_off(backend):
                self.close_connection = True
                return
            text = f"answered after {seconds} s"
        node, _, task = backend.partition(":")
        self.send_response(200)
        self.send_header("X-Node", node)
        self.send_header("X-Task", f"{task or f'web.{next(self.server.swarm.turn) % 6 + 1}'}.t1")
        if self.server.program in {"nginx", "haproxy"}:
            self.send_header("X-Backend", backend)
        if setting:
            self.send_header("Set-Cookie", f"labgen_backend={backend}; Path=/; HttpOnly")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(fronts: Sequence[Front]) -> Iterator[None]:
    with ExitStack() as stack:
        for front in fronts:
            stack.enter_context(front)
            threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(front.shutdown)
        yield


def later(condition: Callable[[Stage, str], nodes.Condition]) -> Callable[[Stage, str], nodes.Condition]:
    """The same condition, which is not looked at before the managers have noticed."""

    def made(stage: Stage, node: str) -> nodes.Condition:
        since = time.monotonic()
        holds = condition(stage, node)
        return lambda view: time.monotonic() - since > MANAGERS_NOTICE and holds(view)

    return made


@pytest.fixture
def fronts(host: Host, swarm: SmallSwarm, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Front]]:
    """The balancers nginx1, haproxy1 and nftables1, and the mesh of three nodes, by name. Waits are short."""
    programs = {"nginx1": "nginx", "haproxy1": "haproxy", "nftables1": "nftables", "balancer1": "nginx"}
    programs |= dict.fromkeys(("manager1", "worker1", "worker2"), "")
    found = {name: Front(name, program, host, swarm) for name, program in programs.items()}

    def targets(self: Stage, without: Sequence[str] = ()) -> list[Target]:
        stage.published(self.service())
        return [Target(each.name, "127.0.0.1", found[each.name].port) for each in self.members()]

    def target(self: Entrance) -> Target:
        return Target(self.node.name, "127.0.0.1", found[self.node.name].port)

    monkeypatch.setattr(Stage, "targets", targets)
    monkeypatch.setattr(Entrance, "target", property(target))
    monkeypatch.setattr(balance, "LEAST", 60)
    monkeypatch.setattr(lanes, "RETRIED", 0.4)
    for name, value in (("QUIET", 1.0), ("BEGIN", 0.2), ("ANSWER_LIMIT", 1.2)):
        monkeypatch.setattr(comparison, name, value)
    monkeypatch.setattr(nodes, "is_down", later(nodes.is_down))
    monkeypatch.setattr(in_flight, "TAKES", 1)
    monkeypatch.setattr(in_flight, "PATIENCE", 2)
    with serving(list(found.values())):
        yield found
