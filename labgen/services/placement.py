"""Which nodes a service's tasks may run on, by the rules of Swarm's scheduler. Pure.

The rules: https://github.com/moby/swarmkit/blob/master/manager/constraint/constraint.go
"""

from collections.abc import Iterable

from labgen.engine import SwarmNode
from labgen.stacks import Constraint

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # engines' words, and those of constraints
UNKNOWN_HERE = "node.ip"


def eligible(nodes: Iterable[SwarmNode], constraints: Iterable[Constraint]) -> list[SwarmNode]:
    """The nodes that satisfy all constraints, whatever state they are in."""
    wanted = list(constraints)
    return [node for node in nodes if all(satisfies(node, each) for each in wanted)]


def can_run(node: SwarmNode) -> bool:
    """Whether the scheduler places tasks there."""
    return node.state == "ready" and node.availability == "active"


def satisfies(node: SwarmNode, constraint: Constraint) -> bool:
    if constraint.key == UNKNOWN_HERE:
        return True
    found = value(node, constraint.key)
    if found is None:
        return False
    return (found.casefold() == constraint.value.casefold()) == constraint.equal


def value(node: SwarmNode, key: str) -> str | None:
    """A node's value for a constraint; None: Swarm does not know the key."""
    system, architecture = node.platform
    simple = {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role,
        "node.platform.os": system,
        "node.platform.arch": ARCHITECTURES.get(architecture, architecture),
    }
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    if key.startswith("engine.labels."):
        return node.engine_labels.get(key.removeprefix("engine.labels."), "")
    return simple.get(key)
