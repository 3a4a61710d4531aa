"""How many tasks of a service should run on which node, and how few have to move for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from labgen.engine import Service
from labgen.services.placement import can_run, eligible
from labgen.services.view import View, constraints


@dataclass(frozen=True)
class Balance:
    """:param tasks: how many run now, by node; only of nodes on which Swarm places tasks of the service.

    :param goal: how many should run there.
    """

    service: str
    tasks: Mapping[str, int]
    goal: Mapping[str, int]

    @property
    def overloaded(self) -> list[str]:
        """The nodes that have too many."""
        return [node for node, count in self.tasks.items() if count > self.goal[node]]

    @property
    def moves(self) -> int:
        """How many tasks have to move at least."""
        return sum(self.tasks[node] - self.goal[node] for node in self.overloaded)


def balance(service: Service, view: View) -> Balance:
    spread = view.spread(service)
    nodes = [node.hostname for node in eligible(view.nodes, constraints(service)) if can_run(node)]
    tasks = {node: spread.get(node, 0) for node in nodes}
    return Balance(service.name, tasks, even(tasks, service.max_per_node))


def even(tasks: Mapping[str, int], most: int = 0) -> dict[str, int]:
    """The same number of tasks on each node, or one more on those that have most already: so the fewest move.

    :param most: per node; 0: no limit.
    """
    if not tasks:
        return {}
    share, left = divmod(sum(tasks.values()), len(tasks))
    with_one_more = sorted(tasks, key=lambda node: -tasks[node])[:left]
    goal = {node: share + (node in with_one_more) for node in tasks}
    return dict(tasks) if most and max(goal.values()) > most else goal


def obstacle(service: Service) -> str:
    """Why labgen does not move tasks of a service; empty: it does."""
    if service.mode != "replicated":
        return f"it is {service.mode}: its tasks have their places"
    if service.preferences:
        return f"it is spread over {', '.join(service.preferences)}: Swarm removes tasks without regard to that"
    if service.update_state in {"updating", "paused", "rollback_started", "rollback_paused"}:
        return f"its update is {service.update_state.replace('_', ' ')}"
    return ""
