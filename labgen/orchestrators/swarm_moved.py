"""A Swarm whose lab was readdressed.

Its first manager is taken over, which may need a restart of its Docker. Workers may still look for their managers at
the former addresses: Docker continues to use a lone manager's first address, even after ``--force-new-cluster``
has given it another one (docker/for-linux#523). A worker that starts, or briefly loses its manager, does not find it.
Giving it the addresses discards nothing of the Swarm: it keeps its id, its labels and its tasks.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from labgen.errors import ClusterError
from labgen.model import Lab, Node
from labgen.progress import Progress

if TYPE_CHECKING:
    from labgen.engine import EngineInfo, SwarmNode
    from labgen.ssh import Connection

MANAGER_PORT = 2377
GOSSIP_PORT = 7946
GOSSIP_LIMIT = 30  # seconds; a busy emulated machine took three
RESTART_LIMIT = 300  # seconds
POLL = 1.0
LISTENING = ["ss", "-Hltn", f"sport = :{GOSSIP_PORT}"]
RESTART = ["sudo", "-n", "systemctl", "restart", "docker.service"]
# The file in which an engine keeps its managers' addresses (swarmkit's node/node.go). It is read once, at the start.
# $1: its new content; not from standard input, because a broken connection would leave half of it.
TELL = """
set -e
cd /var/lib/docker/swarm
printf %s "$1" >state.json.new
sync state.json.new
systemctl stop docker.socket docker.service
mv state.json.new state.json
systemctl start docker.service
"""


def take_over(lab: Lab, manager: Node, connection: "Connection", progress: Progress) -> None:
    """Makes a manager the only one, under its present address. What the Swarm contains is kept.

    If that fails in a Swarm that is neither locked nor in error, its Docker is restarted once: a machine that was
    resumed from memory is busy with everything that has timed out, and Docker gives its own node 15 s to stop (moby's
    daemon/cluster/noderunner.go). After that, its Swarm works again only after a restart.

    :raises ClusterError: Docker refuses, or has no part in the Swarm's networks afterwards.
    """
    progress.step("taking the Swarm over", manager.name, stage="take-over")
    try:
        _take_over(lab, manager, connection)
    except ClusterError as error:
        if not _may_be_cured(connection):
            raise
        progress.note(f"{error.brief}: {error.details}".rstrip(": "))
        progress.step("restarting Docker, which stops its containers", manager.name, stage="restart-docker")
        _restart_docker(lab, connection)
        _take_over(lab, manager, connection)
    progress.done("took the Swarm over", manager.name, stage="take-over")


def _take_over(lab: Lab, manager: Node, connection: "Connection") -> None:
    from labgen import engine  # noqa: PLC0415 - the SDK is slow to load, and --help does not need it

    with engine.connect(connection) as each:
        each.swarm_take_over(manager.address)
    _require_gossip(lab, connection)


def _require_gossip(lab: Lab, connection: "Connection") -> None:
    """Waits until a node takes part in the gossip of overlay networks, without which its tasks have none."""
    deadline = time.monotonic() + GOSSIP_LIMIT
    while not connection.run(LISTENING).stdout.strip():
        if time.monotonic() > deadline:
            name = connection.target.name
            raise ClusterError(
                f"{name} has no part in the Swarm's networks",
                f"its Docker does not listen on port {GOSSIP_PORT}",
                _its_log(lab, name),
            )
        time.sleep(POLL)


def _may_be_cured(connection: "Connection") -> bool:
    """Whether a restart may help: it does not with a locked Swarm, or with one whose certificates have expired."""
    from labgen import engine  # noqa: PLC0415

    with engine.connect(connection) as each:
        return each.info().swarm_state in {"active", "pending"}


def _restart_docker(lab: Lab, connection: "Connection") -> None:
    result = connection.run(RESTART, limit=RESTART_LIMIT)
    if result.status:
        name = connection.target.name
        raise ClusterError(f"the Docker of {name} could not be restarted", result.tail, _its_log(lab, name))


def _its_log(lab: Lab, name: str) -> str:
    return f"Check its log: labgen exec {lab.name} --node {name} -- sudo journalctl -u docker -n 50"


def looks_elsewhere(lab: Lab, info: "EngineInfo") -> bool:
    """Whether an engine looks for its managers where the lab has no node."""
    return bool(info.managers) and {node.address for node in lab.members}.isdisjoint(info.managers)


def lost_workers(lab: Lab, infos: "Mapping[str, EngineInfo]", listed: "Sequence[SwarmNode]") -> list[Node]:
    """Workers of this same Swarm that do not find its managers.

    :param listed: the Swarm's nodes, as a manager sees them.
    """
    entries = {entry.id: entry for entry in listed if entry.role == "worker"}

    def is_lost(info: "EngineInfo") -> bool:
        entry = entries.get(info.node_id)
        lost = entry is not None and (entry.state != "ready" or info.swarm_state == "pending")
        return lost and looks_elsewhere(lab, info)

    return [node for node in lab.members if is_lost(infos[node.name])]


def managers_of(
    lab: Lab, infos: "Mapping[str, EngineInfo]", listed: "Sequence[SwarmNode]"
) -> list[Mapping[str, str]]:
    """The Swarm's managers with their addresses in the lab, in the format of the engines' file."""
    ids = {entry.id for entry in listed if entry.role == "manager"}
    found = [(infos[node.name].node_id, node.address) for node in lab.members if infos[node.name].node_id in ids]
    return [{"node_id": each, "addr": f"{address}:{MANAGER_PORT}"} for each, address in found]


def tell_managers(lab: Lab, connection: "Connection", managers: Sequence[Mapping[str, str]]) -> None:
    """Tells a worker where the managers are, and restarts its Docker, whose containers stop.

    :param managers: as returned by :func:`managers_of`.
    :raises ClusterError: it cannot be told, or its Docker does not start again.
    """
    result = connection.run(["sudo", "-n", "sh", "-c", TELL, "sh", json.dumps(managers)], limit=RESTART_LIMIT)
    if result.status:
        name = connection.target.name
        raise ClusterError(
            f"{name} could not be given the addresses of the Swarm's managers",
            result.tail,
            f"Nothing was changed in the Swarm. {_its_log(lab, name)}",
        )
