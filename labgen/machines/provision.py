"""Preparing machines that answer: the guest scripts, and asking Docker what became of them."""

from collections.abc import Sequence

from labgen import engine, paths, ssh
from labgen.errors import GuestError
from labgen.files import read_text
from labgen.model import Lab, Node, Step
from labgen.plan import doing
from labgen.progress import Progress
from labgen.records.journals import NodeFacts
from labgen.ssh import Connection
from labgen.storage import DRIVERS

START_LIMIT = 300  # seconds


def provision(
    lab: Lab, node: Node, connection: Connection, progress: Progress, steps: Sequence[Step] | None = None
) -> None:
    """Runs a node's guest scripts in order.

    :param steps: only these; by default all of the node's.
    :raises GuestError: one failed.
    """
    chosen = node.steps if steps is None else steps
    directory = paths.lab(lab.name)
    log = directory / paths.LOGS / f"{node.name}.provision.log"
    scripts = {step.script: read_text(directory / paths.GUEST_DIR / step.script) for step in chosen}
    begun: list[str] = []

    def begin(script: str) -> None:
        begun.append(script)
        progress.step(doing(script), node.name, stage=f"provision/{script}")

    with log.open("a", buffering=1) as file:  # line by line, for whoever wants to see why it takes so long
        result = ssh.run_all(connection, scripts, chosen, begin, lambda line: file.write(f"{line}\n"))
        file.write(f"{result.stderr}== exit status {result.status}\n")
    if result.status:
        raise GuestError(
            f"{begun[-1] if begun else 'preparing'} failed on {node.name} with exit status {result.status}",
            result.tail,
            f"All that it said: {log}",
        )


def start_docker(node: Node, connection: Connection, progress: Progress) -> None:
    """Starts Docker where it is off; its configuration, and what else somebody may have changed, stays.

    :raises GuestError: it does not start.
    """
    progress.step("starting Docker", node.name, stage="start-docker")
    result = connection.run(["sudo", "-n", "systemctl", "start", "docker.service"], limit=START_LIMIT)
    if result.status:
        log = connection.run(["sudo", "-n", "journalctl", "-u", "docker.service", "-n", "20", "--no-pager"])
        raise GuestError(
            f"Docker does not start on {node.name}",
            f"{result.tail}\n{log.stdout}",
            "Nothing was changed there. Look at /etc/docker/daemon.json and /etc/fstab in the machine.",
        )


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
