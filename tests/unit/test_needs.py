"""Which node gets a label that a stack needs."""

from dataclasses import replace
from pathlib import Path

import pytest

from labgen.engine import SwarmNode
from labgen.services import needs
from labgen.stacks import ComposeFile, read

WORKER2 = SwarmNode("2", "worker2", "worker", "active", "ready", leader=False, labels={"zone": "b"})
WORKER1 = replace(WORKER2, id="1", hostname="worker1", labels={})
MANAGER = replace(WORKER1, id="0", hostname="manager1", role="manager", leader=True)
NODES = [MANAGER, WORKER2, WORKER1]


def compose(directory: Path, *constraints: str, labels: str = "{database: true}") -> ComposeFile:
    file = directory / "compose.yaml"
    wanted = ", ".join(["node.labels.database == true", *constraints])
    services = f"services: {{db: {{image: a, deploy: {{placement: {{constraints: [{wanted}]}}}}}}}}\n"
    file.write_text(f"x-labgen: {{labels: {labels}}}\n{services}")
    return read(file, {})


def given(found: ComposeFile, nodes: list[SwarmNode]) -> list[tuple[str, str]]:
    return [(each.node.hostname, f"{each.label}={each.value}") for each in needs.labels(found, nodes)]


@pytest.mark.parametrize(
    ("constraints", "nodes", "hostname"),
    [
        ([], NODES, "worker1"),
        (["node.labels.zone == b"], NODES, "worker2"),
        (["node.role == manager"], NODES, "manager1"),
        ([], [MANAGER], "manager1"),
        ([], [WORKER2, replace(WORKER1, state="down")], "worker2"),
        ([], [WORKER2, replace(WORKER1, availability="drain")], "worker2"),
    ],
)
def test_a_node_that_fits_gets_the_label(
    tmp_path: Path, constraints: list[str], nodes: list[SwarmNode], hostname: str
) -> None:
    assert given(compose(tmp_path, *constraints), nodes) == [(hostname, "database=true")]


def test_a_label_that_a_node_has_is_left_there(tmp_path: Path) -> None:
    off = replace(WORKER2, labels={"database": "true"}, state="down")
    assert given(compose(tmp_path), [MANAGER, off, WORKER1]) == []


def test_where_no_node_fits_swarm_says_why(tmp_path: Path) -> None:
    assert given(compose(tmp_path, "node.labels.zone == c"), NODES) == []


def test_two_labels_of_one_service_are_on_one_node(tmp_path: Path) -> None:
    found = compose(
        tmp_path, "node.labels.disk == ssd", "node.labels.zone == b", labels="{database: true, disk: ssd}"
    )
    made = needs.labels(found, NODES)
    assert given(found, NODES) == [("worker2", "database=true"), ("worker2", "disk=ssd")]
    labels = {node.hostname: node.labels for node in needs.with_labels(NODES, made)}
    assert labels == {"manager1": {}, "worker1": {}, "worker2": {"zone": "b", "database": "true", "disk": "ssd"}}
