"""Preparing machines that answer: the guest scripts, and asking Docker what became of them."""

from pathlib import Path

from labgen import engine, paths
from labgen.errors import GuestError
from labgen.model import Lab, Node, Step
from labgen.progress import Progress
from labgen.ssh import Connection
from labgen.state import NodeFacts
from labgen.storage import DRIVERS


def provision(lab: Lab, node: Node, connection: Connection, progress: Progress) -> None:
    """Runs a node's guest scripts in order.

    :raises GuestError: one failed.
    """
    log = paths.lab(lab.name) / paths.LOGS / f"{node.name}.provision.log"
    for step in node.steps:
        progress.step(step.script, node.name)
        _run(lab, node, step, connection, log)


def inspect(lab: Lab, node: Node, connection: Connection) -> NodeFacts:
    """Asks the node's Docker what it runs on.

    :raises ClusterError: it does not answer. :raises GuestError: it runs on another driver than was asked for.
    """
    with engine.connect(connection) as docker:
        info = docker.info()
    if complaint := DRIVERS[lab.storage_driver].complaint(info.storage):
        raise GuestError(
            f"{node.name}: {complaint}",
            f"docker info: {info.storage}",
            f"Look at its log: labgen exec {lab.name} --node {node.name} -- sudo journalctl -u docker -n 50",
        )
    return NodeFacts(info.storage.driver, info.storage.backing_filesystem, info.version, info.kernel)


def _run(lab: Lab, node: Node, step: Step, connection: Connection, log: Path) -> None:
    text = (paths.lab(lab.name) / paths.GUEST_DIR / step.script).read_text()
    result = connection.script(text, step.arguments)
    with log.open("a") as file:
        file.write(f"== {step.script}: exit status {result.status}\n{result.stdout}{result.stderr}")
    if result.status:
        raise GuestError(
            f"{step.script} failed on {node.name} with exit status {result.status}",
            result.tail,
            f"All that it said: {log}",
        )
