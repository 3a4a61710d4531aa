"""What a compose file needs beforehand, and lets labgen make: labels of nodes, and secrets with a random content."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labgen.engine import SwarmNode
from labgen.progress import Progress
from labgen.services.cluster import Cluster
from labgen.services.placement import can_run, satisfies
from labgen.stacks import ComposeFile
from labgen.stacks.extension import constraint_of

LENGTH = 18  # random bytes of a secret: 24 characters


@dataclass(frozen=True)
class Labelled:
    """A label that a node gets."""

    node: SwarmNode
    label: str
    value: str


def labels(compose: ComposeFile, nodes: Sequence[SwarmNode]) -> list[Labelled]:
    """The labels that no node has, each with the node that gets it: a worker rather than a manager.

    A label that some node has is left there, even if that node is down: the data is on it. A label that no node can
    have is left out; Swarm then says why.
    """
    made = list[Labelled]()
    for label, value in compose.needs.labels.items():
        now = with_labels(nodes, made)
        if any(satisfies(node, constraint_of(label, value)) for node in now):
            continue
        fitting = sorted(
            _fitting(compose, label, value, now), key=lambda each: (each.role == "manager", each.hostname)
        )
        made += [Labelled(node, label, value) for node in fitting[:1]]
    return made


def with_labels(nodes: Sequence[SwarmNode], made: Sequence[Labelled]) -> list[SwarmNode]:
    """The nodes as they will be."""
    new = {node.id: {each.label: each.value for each in made if each.node.id == node.id} for node in nodes}
    return [replace(node, labels={**node.labels, **new[node.id]}) for node in nodes]


def make(compose: ComposeFile, made: Sequence[Labelled], there: Cluster, progress: Progress) -> None:
    """Sets the labels, and creates the secrets that do not exist.

    :raises ClusterError: Docker refuses.
    """
    for each in made:
        there.engine.update_node(each.node.id, each.node.role, {each.label: each.value})
        progress.note(f"{each.node.hostname} has the label {each.label}={each.value} now")
    existing = {each.name for each in there.engine.services.secrets()} if compose.needs.secrets else set()
    for name in compose.needs.secrets:
        if name not in existing:
            there.engine.services.create_secret(name, secrets.token_urlsafe(LENGTH))
            progress.note(f"the secret {name} is new, with a random content")


def _fitting(compose: ComposeFile, label: str, value: str, nodes: Sequence[SwarmNode]) -> Iterator[SwarmNode]:
    """The nodes on which the services that ask for a label could run if they had it."""
    wanted = constraint_of(label, value)
    services = [service for service in compose.services if wanted in service.constraints]
    to_come = {constraint_of(*each) for each in compose.needs.labels.items()}
    for node in nodes:
        others = {each for service in services for each in service.constraints} - to_come
        if can_run(node) and all(satisfies(node, each) for each in others):
            yield node
