"""What runs in a cluster at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from labgen.engine import Engine, Service, SwarmNode, Task
from labgen.errors import ClusterError
from labgen.services.placement import can_run, eligible
from labgen.stacks import Constraint, constraint

ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}
BROKEN = {"failed", "rejected"}
WAITING = {"new", "pending"}  # for a node


@dataclass(frozen=True)
class View:
    """What services there are, and their tasks.

    :param services: of one stack, or all. :param tasks: of all services.

    Tasks are counted here: Docker's own number of running tasks includes those of nodes that are down
    (https://github.com/moby/moby/issues/45922).
    """

    services: tuple[Service, ...]
    nodes: tuple[SwarmNode, ...]
    tasks: tuple[Task, ...]

    @cached_property
    def hostnames(self) -> Mapping[str, str]:
        """By the nodes' ids."""
        return {node.id: node.hostname for node in self.nodes}

    def service(self, name: str) -> Service:
        """:raises ClusterError: it is gone."""
        for each in self.services:
            if each.name == name:
                return each
        raise ClusterError(f"the service {name} is gone")

    def of(self, service: Service) -> list[Task]:
        """A service's tasks, the newest first."""
        found = (task for task in self.tasks if task.service_id == service.id)
        return sorted(found, key=lambda task: task.since, reverse=True)

    def current(self, service: Service) -> list[Task]:
        """Those that have not ended, and shall run."""
        return [task for task in self.of(service) if task.state not in ENDED and task.desired_state != "shutdown"]

    def broken(self, service: Service) -> list[Task]:
        """Those that failed, that a node refused, or that ended by themselves although they should run on."""
        ended = BROKEN if service.is_job or service.restarts != "any" else {*BROKEN, "complete"}
        return [task for task in self.of(service) if task.state in ended]

    def running(self, service: Service) -> list[Task]:
        """Those that run, as far as the managers know: a node that is down has none."""
        down = {node.id for node in self.nodes if node.state == "down"}
        return [
            task
            for task in self.current(service)
            if (task.state, task.desired_state) == ("running", "running") and task.node_id not in down
        ]

    def spread(self, service: Service) -> dict[str, int]:
        """How many tasks run on each node that has any, by name."""
        places = [self.hostnames.get(task.node_id, "") for task in self.running(service)]
        return {place: places.count(place) for place in sorted(set(places))}

    def placed(self) -> set[tuple[str, str, str]]:
        """Id, name as ``SERVICE.SLOT``, and node of each task that runs, of all services in this view.

        A global service's tasks have no slot: their names end with the node's.
        """
        found = set()
        for service in self.services:
            for task in self.running(service):
                node = self.hostnames.get(task.node_id, "")
                found.add((task.id, f"{service.name}.{task.slot or node}", node))
        return found

    def wanted(self, service: Service) -> int:
        """How many tasks there should be."""
        if not service.is_global:
            return service.desired
        return len([node for node in eligible(self.nodes, constraints(service)) if can_run(node)])

    def done(self, service: Service) -> int:
        """How many run, or have done what they were for."""
        if service.is_job:
            return service.completed
        if service.restarts == "any":
            return len(self.running(service))
        newest = {(task.slot, task.node_id if service.is_global else ""): task for task in reversed(self.of(service))}
        return len(self.running(service)) + len([task for task in newest.values() if task.state == "complete"])

    def lacks_tasks(self, service: Service) -> bool:
        return self.done(service) < self.wanted(service)

    def has_converged(self, service: Service) -> bool:
        idle = service.update_state not in {"updating", "paused", "rollback_started", "rollback_paused"}
        return idle and not self.lacks_tasks(service)


def constraints(service: Service) -> list[Constraint]:
    return [each for text in service.constraints if (each := constraint(text))]


def look(engine: Engine, stack: str = "") -> View:
    """:param engine: a manager's. :param stack: only its services."""
    services = engine.services.listed(stack)
    nodes = sorted(engine.swarm_nodes(), key=lambda node: node.hostname)
    return View(tuple(services), tuple(nodes), tuple(engine.services.tasks()))
