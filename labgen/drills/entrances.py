"""The ports of a lab's load balancers that lead to a service."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labgen.balancers import BALANCERS, Backend, Frontend, Pool, Program
from labgen.balancers.backends import frontends
from labgen.drills.stage import Stage
from labgen.engine import Service
from labgen.machines import balancing
from labgen.model import Node, Publish
from labgen.traffic import Target

PLAIN = {"http", "tcp"}  # what the measuring process speaks, or what may carry it
WEB, WEB_PORT = "http", 80


@dataclass(frozen=True)
class Entrance:
    """A port of a balancer that leads to the service."""

    node: Node
    program: Program
    publish: Publish
    pool: Pool

    @property
    def label(self) -> str:
        """As tables have it, e.g. ``balancer1 (nginx)``."""
        return f"{self.node.name} ({self.program.name})"

    @property
    def target(self) -> Target:
        route = self.pool.route
        return Target(self.node.name, self.node.address, self.publish.port, f"{route.path}/", route.host)

    @property
    def command(self) -> str:
        """That requests it, as a user would type it."""
        port = "" if self.publish.port == WEB_PORT else f":{self.publish.port}"
        host = f"--header 'Host: {self.pool.route.host}' " if self.pool.route.host else ""
        return f"curl {host}http://{self.node.address}{port}{self.pool.route.path}/"

    @property
    def names_backends(self) -> bool:
        """Whether its answers tell which backend each came from."""
        return self.is_web and not self.publish.anonymous

    @property
    def is_web(self) -> bool:
        """Whether the balancer itself reads the requests."""
        return self.publish.protocol == WEB

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Those that get new clients."""
        return tuple(each for each in self.pool.backends if not each.draining)


def is_on(backend: str, node: str) -> bool:
    """Whether a backend of that name is a node, or one of its tasks."""
    return backend.partition(":")[0] == node


def found(stage: Stage) -> tuple[list[Entrance], list[str]]:
    """What can be requested through the load balancers, whichever service it is.

    :return: the entrances, and why other ports are left out: a sentence for each.
    """
    entrances, left_out = [], []
    for node, program, frontend in _frontends(stage):
        if why := _obstacle(frontend.publish):
            left_out.append(f"{node.name}: port {frontend.publish.port} is left out: {why}")
            continue
        entrances += [Entrance(node, program, frontend.publish, pool) for pool in frontend.pools]
    return [each for each in entrances if each.backends], left_out


def of_service(stage: Stage, entrances: Sequence[Entrance]) -> list[Entrance]:
    """Those that lead to the drill's service, one for each balancer: the first of several."""
    chosen: dict[str, Entrance] = {}
    for each in entrances:
        if each.pool.service.rpartition(":")[0] == stage.name:
            chosen.setdefault(each.node.name, each)
    return list(chosen.values())


def publishes(service: Service) -> bool:
    """Whether a balancer can lead to it: through the mesh, or directly to its tasks."""
    return any(port.protocol == "tcp" for port in service.ports)


def _frontends(stage: Stage) -> Iterator[tuple[Node, Program, Frontend]]:
    seen = balancing.look(stage.lab.plan, stage.there.engine)
    for node in stage.lab.plan.balancers:
        assert node.balancer  # noqa: S101 - that is what makes it one
        for frontend in frontends(node.balancer, seen)[0]:
            yield node, BALANCERS[node.balancer.program], frontend


def _obstacle(publish: Publish) -> str:
    """Why requests to a port cannot be measured; empty: they can."""
    if publish.protocol not in PLAIN:
        return f"{publish.protocol} is not measured, only http and tcp"
    if publish.users:
        return "users have to log in there"
    if publish.proxy_protocol:
        return "its service expects the PROXY protocol, which clients beside the balancer do not speak"
    return ""
