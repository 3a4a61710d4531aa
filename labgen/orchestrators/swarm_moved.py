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

if TYPE_CHECKING:
    from labgen.engine import EngineInfo, SwarmNode
    from labgen.ssh import Connection

MANAGER_PORT = 2377
GOSSIP_PORT = 7946
GOSSIP_LIMIT = 30  # seconds; Docker listens within three, or never
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


def require_gossip(lab: Lab, connection: "Connection") -> None:
    """Waits until a node takes part in the gossip of overlay networks, without which its tasks have none.

    :raises ClusterError: it does not, although its Swarm is active.
    """
    deadline = time.monotonic() + GOSSIP_LIMIT
    while not connection.run(LISTENING).stdout.strip():
        if time.monotonic() > deadline:
            name = connection.target.name
            raise ClusterError(
                f"{name} has no part in the Swarm's networks",
                f"its Docker does not listen on port {GOSSIP_PORT}",
                f"Check its log: labgen exec {lab.name} --node {name} -- sudo journalctl -u docker -n 50",
            )
        time.sleep(POLL)


def restart_docker(lab: Lab, connection: "Connection") -> None:
    """:raises ClusterError: it does not start again."""
    result = connection.run(RESTART, limit=RESTART_LIMIT)
    if result.status:
        name = connection.target.name
        raise ClusterError(
            f"the Docker of {name} could not be restarted",
            result.tail,
            f"Check its log: labgen exec {lab.name} --node {name} -- sudo journalctl -u docker -n 50",
        )


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
            f"Nothing was changed in the Swarm. Check its log: labgen exec {lab.name} --node {name} -- "
            "sudo journalctl -u docker -n 50",
        )
