"""Removing a stack."""

import contextlib
import time
from collections.abc import Collection

from labgen.engine import STACK, Engine, Task
from labgen.errors import ClusterError, LabgenError
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services.cluster import Cluster
from labgen.services.delivery import STACKS

LIMIT = 180  # seconds for its containers to stop; Docker kills each after 10 s, unless a service says otherwise
POLL = 1.0  # seconds
# Docker's words about networks that containers have not left yet, and about what is gone since it listed it.
PASSING = ("in use", "not found")


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

    :return: its volumes and its mounted files, which are kept, by node.
    :raises ClusterError: Docker refuses, or containers do not stop.
    """
    services = {service.id for service in there.engine.services.listed(stack)}
    progress.step(f"removing {stack}", stage="remove-stack")
    words = _docker_stack_rm(stack, there)
    deadline = time.monotonic() + LIMIT
    while left := _left(services, there):
        progress.step(f"waiting for {len(left)} tasks to end", stage="remove-stack")
        if time.monotonic() > deadline:
            raise ClusterError(f"tasks of {stack} do not end", ", ".join(f"{task.id}: {task.state}" for task in left))
        time.sleep(POLL)
    # A network is in use until the last container has left it.
    while exists(stack, there.engine):
        if time.monotonic() > deadline:
            raise ClusterError(f"{stack} is not removed completely", words, "Run the same command again.")
        time.sleep(POLL)
        words = _docker_stack_rm(stack, there)
    kept = on_each({name: name for name in there.running}, lambda name: _kept(stack, name, there))
    return {node: found for node, found in kept.items() if found}


def _docker_stack_rm(stack: str, there: Cluster) -> str:
    """:return: Docker's last words. :raises ClusterError: it refuses, or does not answer."""
    result = there.manager.run(["sudo", "-n", "docker", "stack", "rm", stack], limit=LIMIT)
    if result.status and not any(words in result.stderr for words in PASSING):
        raise ClusterError(f"Docker does not remove {stack}", result.tail)
    return result.tail


def _left(services: Collection[str], there: Cluster) -> list[Task]:
    """The tasks that still have to end; those of a node that is down stay listed until it is back."""
    ready = {node.id for node in there.nodes() if node.state == "ready"}
    return [each for each in there.engine.services.tasks() if each.service_id in services and each.node_id in ready]


def _kept(stack: str, node: str, there: Cluster) -> list[str]:
    """The names of its volumes on a node, and the directory with what was mounted from beside the compose file."""
    with contextlib.suppress(LabgenError):  # a node that does not answer
        volumes = sorted(name for name, owner in there.engine_of(node).volumes().items() if owner == stack)
        directory = f"{STACKS}/{stack}"
        is_there = there.connection(node).run(["sudo", "-n", "test", "-d", directory]).status == 0
        return [*volumes, *([directory] if is_there else [])]
    return []
