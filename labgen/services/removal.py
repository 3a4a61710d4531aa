"""Removing a stack."""

import time

from labgen.engine import STACK, Engine
from labgen.errors import ClusterError
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services.cluster import Cluster

LIMIT = 180  # seconds for its containers to stop; Docker kills each after 10 s, unless a service says otherwise
POLL = 1.0  # seconds


def known(engine: Engine) -> list[str]:
    """The names of all stacks of which something exists, sorted."""
    services = engine.services
    stored = [*services.configs(), *services.secrets()]
    found = {each.stack for each in services.listed()} | set(services.networks().values())
    found |= {each.labels.get(STACK, "") for each in stored}
    return sorted(found - {""})


def exists(stack: str, engine: Engine) -> bool:
    return stack in known(engine)


def remove(stack: str, there: Cluster, progress: Progress) -> dict[str, list[str]]:
    """Removes a stack's services, networks, configs and secrets, and waits until its containers are gone.

    :return: its volumes, which are kept, by node.
    :raises ClusterError: Docker refuses, or containers do not stop.
    """
    services = {service.id for service in there.engine.services.listed(stack)}
    progress.step(f"removing {stack}", stage="remove-stack")
    result = there.manager.run(["sudo", "-n", "docker", "stack", "rm", stack], limit=LIMIT)
    deadline = time.monotonic() + LIMIT
    while left := [task for task in there.engine.services.tasks() if task.service_id in services]:
        progress.step(f"waiting for {len(left)} tasks to end", stage="remove-stack")
        if time.monotonic() > deadline:
            raise ClusterError(f"tasks of {stack} do not end", ", ".join(f"{task.id}: {task.state}" for task in left))
        time.sleep(POLL)
    # A network is in use until the last container has left it.
    while exists(stack, there.engine):
        if time.monotonic() > deadline:
            raise ClusterError(f"{stack} is not removed completely", result.tail, "Run the same command again.")
        time.sleep(POLL)
        result = there.manager.run(["sudo", "-n", "docker", "stack", "rm", stack], limit=LIMIT)
    kept = on_each({name: name for name in there.running}, lambda name: there.engine_of(name).volumes())
    of_stack = {node: sorted(name for name, owner in found.items() if owner == stack) for node, found in kept.items()}
    return {node: volumes for node, volumes in of_stack.items() if volumes}
