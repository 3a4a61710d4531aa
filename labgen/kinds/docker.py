"""A machine with Docker on the lab's storage driver, outside any cluster."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labgen.errors import GuestError
from labgen.kinds.base import Kind
from labgen.model import Disk, Lab, Node, NodeFacts, Step
from labgen.progress import Progress
from labgen.storage import DRIVERS, StorageDriver

if TYPE_CHECKING:
    from labgen.ssh import Connection

SCRIPT = "docker.sh"
SERIAL = "labgen-docker"
START_LIMIT = 300  # seconds


class Docker(Kind):
    name = "docker"
    has_docker = True
    doing: Mapping[str, str] = {SCRIPT: "starting Docker"}

    def disks(self, storage_gib: int) -> tuple[Disk, ...]:
        return (Disk("docker", SERIAL, storage_gib, holds="Docker's images and volumes"),)

    def steps(self, driver: StorageDriver, mirror: str) -> tuple[Step, ...]:
        # A mirror's scheme is part of its URL: with http, Docker needs no "insecure-registries".
        config = {**driver.daemon_config(), **({"registry-mirrors": [mirror]} if mirror else {})}
        return (*driver.steps(SERIAL), Step(SCRIPT, (json.dumps(config, sort_keys=True),)))

    def start(self, node: Node, connection: "Connection", progress: Progress) -> None:
        progress.step("starting Docker", node.name, stage="start-docker")
        result = connection.run(["sudo", "-n", "systemctl", "start", "docker.service"], limit=START_LIMIT)
        if result.status:
            log = connection.run(["sudo", "-n", "journalctl", "-u", "docker.service", "-n", "20", "--no-pager"])
            raise GuestError(
                f"Docker does not start on {node.name}",
                f"{result.tail}\n{log.stdout}",
                "Nothing was changed there. Check /etc/docker/daemon.json and /etc/fstab in the machine.",
            )

    def inspect(self, lab: Lab, node: Node, connection: "Connection") -> NodeFacts:
        """:raises ClusterError: Docker does not answer. :raises GuestError: it uses another driver."""
        from labgen import engine  # noqa: PLC0415 - the SDK takes a fifth of a second, and --help does not need it

        with engine.connect(connection) as docker:
            info = docker.info()
        if complaint := DRIVERS[lab.storage_driver].complaint(info.storage):
            raise GuestError(
                f"{node.name}: {complaint}",
                f"docker info: {info.storage}",
                f"Check its log: labgen exec {lab.name} --node {node.name} -- sudo journalctl -u docker -n 50",
            )
        return NodeFacts(info.storage.driver, info.storage.backing_filesystem, info.version, info.kernel)
