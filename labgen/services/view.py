"""What runs in a cluster at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from labgen.engine import Engine, Service, SwarmNode, Task
from labgen.services.placement import can_run, eligible
from labgen.stacks import Constraint, constraint

ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}
BROKEN = {"failed", "rejected"}
WAITING = {"new", "pending"}  # for a node


@dataclass(frozen=True)
class View:
    """:param services: of one stack, or all. :param tasks: of all services."""

    services: tuple[Service, ...]
    nodes: tuple[SwarmNode, ...]
    tasks: tuple[Task, ...]

    @cached_property
    def hostnames(self) -> Mapping[str, str]:
        """By the nodes' ids."""
        return {node.id: node.hostname for node in self.nodes}

    def of(self, service: Service) -> list[Task]:
        """A service's tasks, the newest first."""
        found = (task for task in self.tasks if task.service_id == service.id)
        return sorted(found, key=lambda task: task.since, reverse=True)

    def current(self, service: Service) -> list[Task]:
        """Those that have not ended, and shall run."""
        return [task for task in self.of(service) if task.state not in ENDED and task.desired_state != "shutdown"]

    def broken(self, service: Service) -> list[Task]:
        """Those that failed, that a node refused, or that ended by themselves although they should run on."""
        return [
            task
            for task in self.of(service)
            if task.state in BROKEN or (task.state == "complete" and not service.is_job)
        ]

    def spread(self, service: Service) -> dict[str, int]:
        """How many tasks run on each node that has any, by name."""
        places = [self.hostnames.get(task.node_id, "") for task in self.current(service) if task.state == "running"]
        return {place: places.count(place) for place in sorted(set(places))}

    def wanted(self, service: Service) -> int:
        """How many tasks there should be. Swarm counts those of a global service only once it has placed them."""
        if not service.is_global:
            return service.desired
        fitting = [node for node in eligible(self.nodes, constraints(service)) if can_run(node)]
        return max(service.desired, len(fitting)) if not service.is_job else len(fitting)

    def done(self, service: Service) -> int:
        return service.completed if service.is_job else service.running

    def has_converged(self, service: Service) -> bool:
        idle = service.update_state not in {"updating", "paused", "rollback_started", "rollback_paused"}
        return idle and self.done(service) >= self.wanted(service)


def constraints(service: Service) -> list[Constraint]:
    return [each for text in service.constraints if (each := constraint(text))]


def look(engine: Engine, stack: str = "") -> View:
    """:param engine: a manager's. :param stack: only its services."""
    services = engine.services.listed(stack)
    nodes = sorted(engine.swarm_nodes(), key=lambda node: node.hostname)
    return View(tuple(services), tuple(nodes), tuple(engine.services.tasks()))
