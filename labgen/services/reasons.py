"""Why a service does not run as it should, in words."""

import re
from collections.abc import Iterator
from typing import Protocol

from labgen.engine import Service, SwarmNode, Task
from labgen.services.placement import can_run, satisfies, value
from labgen.services.view import WAITING, View, constraints

MIB = 2**20
MISSING_IMAGE = re.compile(r"No such image: (?P<image>[^\s\"]+)")
STATUS = re.compile(r"task: non-zero exit \((?P<status>[0-9]+)\)")
UNHEALTHY = "unhealthy container"
KILLED = 137  # 128 + SIGKILL: by the kernel, if memory is short
MEANING = {126: "it cannot be executed", 127: "the command was not found", KILLED: "killed; perhaps out of memory"}


class Witness(Protocol):
    """Whoever can ask the nodes."""

    def last_lines(self, task: Task) -> str:
        """What a task's container printed last; may be empty."""

    def health_output(self, task: Task) -> str:
        """What the health check of a task's container printed if it failed; else empty."""


def reasons(service: Service, view: View, witness: Witness) -> list[str]:
    """The reasons, each a line and perhaps further ones with the evidence; empty: there is none to be seen."""
    found = [*_of_the_update(service)]
    waiting = [task for task in view.current(service) if task.state in WAITING]
    if unplaced := next((task for task in waiting if task.error), None):
        found.append(_no_node(service, unplaced, view))
    if view.lacks_tasks(service):  # else they are former ones, that have been replaced
        found += _of_broken_tasks(service, view, witness)
    return found or list(_of_tasks_on_the_way(service, view))


def _of_the_update(service: Service) -> Iterator[str]:
    words = {
        "paused": "the update is paused",
        "rollback_started": "the update failed and is being rolled back",
        "rollback_paused": "the rollback is paused",
        "rollback_completed": "the update failed and was rolled back",
    }
    if service.update_state in words:
        yield f"{words[service.update_state]}: {service.update_message}"


def _no_node(service: Service, task: Task, view: View) -> str:
    lines = [f"no node can run a further task: {_inner(task.error)}"]
    for each in constraints(service):
        fitting = [node.hostname for node in view.nodes if satisfies(node, each)]
        values = ", ".join(f"{node.hostname}: {value(node, each.key) or '-'}" for node in view.nodes)
        lines.append(f"  {each}: {', '.join(fitting) or 'no node'} ({values})")
    if "insufficient resources" in task.error:
        wanted = f"{service.reserved.nano_cpus / 1e9:g} processors, {service.reserved.memory // MIB} MiB"
        lines.append(f"  each task reserves {wanted}; free:")
        lines += [f"    {line}" for line in _free(view)]
    if "host-mode port" in task.error:
        lines += [f"  {line}" for line in _holders_of_ports(view)]
    if service.max_per_node:
        lines.append(f"  at most {service.max_per_node} on a node: {_in_words(view.spread(service))}")
    away = [f"{node.hostname} ({_away(node)})" for node in view.nodes if not can_run(node)]
    if away:
        lines.append(f"  not available: {', '.join(away)}")
    return "\n".join(lines)


def _of_broken_tasks(service: Service, view: View, witness: Witness) -> Iterator[str]:
    """Each kind of error once, with all its nodes and the newest task's evidence."""
    kinds: dict[str, list[Task]] = {}
    for task in view.broken(service):
        kinds.setdefault(task.error, []).append(task)
    for error, tasks in kinds.items():
        places = ", ".join(sorted({view.hostnames.get(task.node_id, "a former node") for task in tasks}))
        illness = witness.health_output(tasks[0]) if UNHEALTHY in error or tasks[0].state == "complete" else ""
        lines = [f"  health check: {line}" for line in illness.splitlines()[-3:]]
        if not MISSING_IMAGE.search(error):
            lines += [f"  | {line}" for line in witness.last_lines(tasks[0]).splitlines()]
        yield "\n".join([f"{_explained(error, tasks[0], illness)} on {places}", *lines])


def _explained(error: str, task: Task, illness: str) -> str:
    if missing := MISSING_IMAGE.search(error):
        return f"the image {missing['image']} is missing"
    if illness or UNHEALTHY in error:
        return "the health check failed"
    if task.state == "complete":
        return "the task ended by itself, with exit code 0"
    if status := STATUS.search(error):
        number = int(status["status"])
        meaning = f" ({MEANING[number]})" if number in MEANING else ""
        return f"the task ended with exit code {number}{meaning}"
    return f"the task was {task.state}: {error}" if task.state == "rejected" else f"the task failed: {error}"


def _of_tasks_on_the_way(service: Service, view: View) -> Iterator[str]:
    states: dict[str, list[str]] = {}
    for task in view.current(service):
        if task.state not in {"running", *WAITING} and not task.error:
            states.setdefault(task.state, []).append(view.hostnames.get(task.node_id, "?"))
    for state, places in states.items():
        yield f"{state} on {', '.join(sorted(set(places)))}"


def _free(view: View) -> Iterator[str]:
    for node in view.nodes:
        there = [task.reserved for task in view.tasks if task.node_id == node.id and task.state == "running"]
        cpus = (node.nano_cpus - sum(each.nano_cpus for each in there)) / 1e9
        memory = (node.memory - sum(each.memory for each in there)) // MIB
        total = f"{node.nano_cpus / 1e9:g} processors, {memory} of {node.memory // MIB} MiB"
        yield f"{node.hostname}: {cpus:g} of {total}"


def _holders_of_ports(view: View) -> Iterator[str]:
    names = {service.id: service.name for service in view.services}
    for task in view.tasks:
        if task.state == "running" and task.host_ports:
            holder, ports = names.get(task.service_id, "another service"), ", ".join(map(str, task.host_ports))
            yield f"{view.hostnames.get(task.node_id, '?')}: {holder} has {ports}"


def _inner(error: str) -> str:
    """Without Swarm's own beginning: no suitable node (...)."""
    return error.removeprefix("no suitable node").strip(" ()") or error


def _away(node: SwarmNode) -> str:
    return {"drain": "drained", "pause": "paused"}[node.availability] if node.state == "ready" else node.state


def _in_words(spread: dict[str, int]) -> str:
    return ", ".join(f"{node} has {count}" for node, count in spread.items()) or "none runs"
