"""What runs in a cluster, and with which settings, for the record of what is tried there."""

import contextlib
import json
from dataclasses import replace
from typing import Any

from labgen.engine import Engine, SwarmNode
from labgen.engine.inspected import harmless
from labgen.errors import LabgenError
from labgen.parallel import on_each
from labgen.records.inspections import UNKNOWN, InspectedNode, InspectedService, Inspection, Logging
from labgen.records.notebook import Notebook
from labgen.services.cluster import Cluster

DAEMON_JSON = "/etc/docker/daemon.json"


def keep(notes: Notebook, there: Cluster) -> None:
    """Adds it to a record. What is tried does not depend on it: if it cannot be seen, the record does without."""
    try:
        notes.inspected(inspect(there))
    except LabgenError as error:
        notes.progress.note(f"the settings of what runs are not recorded: {error.brief}")


def inspect(there: Cluster) -> Inspection:
    """:raises ClusterError: the manager does not answer. Of other nodes that do not, less is known."""
    services = [_with_health_check(each, there.engine) for each in there.engine.services.inspected()]
    names = {node.hostname: node for node in there.nodes()}
    nodes = on_each(names, lambda node: _node(node, there))
    box = there.lab.box
    networks = there.engine.services.inspected_networks()
    return Inspection(f"{box.name} {box.version}", 0.0, tuple(nodes.values()), tuple(services), tuple(networks))


def _node(seen: SwarmNode, there: Cluster) -> InspectedNode:
    node = InspectedNode(
        seen.hostname,
        seen.role,
        seen.state,
        seen.availability,
        seen.leader,
        dict(seen.labels),
        logging=Logging(known=False),
    )
    if seen.hostname in there.running:
        with contextlib.suppress(LabgenError):  # it does not answer: the managers' view has to do
            info = there.engine_of(seen.hostname).info()
            node = replace(
                node,
                engine=info.version,
                kernel=info.kernel,
                storage_driver=info.storage.driver,
                backing_filesystem=info.storage.backing_filesystem,
                logging=Logging(info.log_driver, known=False),
            )
            return replace(node, logging=_logging(info.log_driver, seen.hostname, there))
    return node


def _logging(driver: str, node: str, there: Cluster) -> Logging:
    """``docker info`` names the default driver of containers' logs, but only the daemon's file has its options."""
    said = there.connection(node).run(["sudo", "-n", "cat", DAEMON_JSON])
    try:
        config: Any = json.loads(said.stdout) if not said.status else None
    except ValueError:
        config = None
    if not isinstance(config, dict):
        return Logging(driver, known=False)
    options = config.get("log-opts")
    return Logging(driver, harmless(options if isinstance(options, dict) else {}))


def _with_health_check(service: InspectedService, manager: Engine) -> InspectedService:
    """A service without one of its own has its image's; the manager may not have the image."""
    if service.health_check:
        return service
    has = manager.has_health_check(service.image)
    return replace(service, health_check=UNKNOWN if has is None else "image" if has else "")
