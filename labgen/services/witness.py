"""What the nodes know about a task's container."""

import contextlib

from labgen.engine import Task
from labgen.errors import LabgenError
from labgen.services.cluster import Cluster

LINES = 5
LIMIT = 30  # seconds


class Nodes:
    """Asks the lab's nodes; what cannot be learned is empty."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._names = {node.id: node.hostname for node in cluster.engine.swarm_nodes()}

    def last_lines(self, task: Task) -> str:
        if not task.container:
            return ""
        command = ["sudo", "-n", "docker", "service", "logs", "--raw", "--tail", str(LINES), task.id]
        with contextlib.suppress(LabgenError):
            result = self._cluster.manager.run(command, limit=LIMIT)
            if not result.status:
                return f"{result.stdout}{result.stderr}".strip()
        return ""

    def health_output(self, task: Task) -> str:
        node = self._names.get(task.node_id, "")
        if not task.container or node not in self._cluster.running:
            return ""
        with contextlib.suppress(LabgenError):
            return self._cluster.engine_of(node).health_output(task.container)
        return ""
