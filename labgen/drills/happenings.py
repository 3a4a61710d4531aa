"""What has changed between two looks at a cluster, in words. Pure."""

from collections.abc import Iterator

from labgen.engine import Service, Task
from labgen.services.view import View


def happenings(former: View, view: View, service: str) -> Iterator[str]:
    """Of the nodes, and of the tasks of one service. :param service: its name."""
    yield from _of_nodes(former, view)
    for each in view.services:
        if each.name == service:
            yield from _of_tasks(former, view, each)


def _of_nodes(former: View, view: View) -> Iterator[str]:
    before = {node.id: node for node in former.nodes}
    for node in view.nodes:
        old = before.get(node.id)
        if old and (old.state, old.availability) != (node.state, node.availability):
            yield f"{node.hostname} is {node.state}, {node.availability}"
        if old and node.leader and not old.leader:
            yield f"{node.hostname} leads"


def _of_tasks(former: View, view: View, service: Service) -> Iterator[str]:
    states = {task.id: task.state for task in former.of(service)}
    for task in reversed(view.of(service)):
        if states.get(task.id) != task.state and task.state in {
            "running",
            "failed",
            "rejected",
            "shutdown",
            "complete",
        }:
            yield f"{_name(task, service)} is {task.state} on {view.hostnames.get(task.node_id, 'a former node')}"


def _name(task: Task, service: Service) -> str:
    return f"{service.name}.{task.slot}" if task.slot else service.name
