"""Docker Swarm, formed over each node's own Docker socket.

Every decision is based on the present state of the engines: so forming a Swarm, repairing it and finding nothing
to do are one recipe. A node's data is discarded only if the caller states that there is none; other unexpected
states are explained by :mod:`labgen.orchestrators.swarm_states`.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from labgen.errors import ClusterError
from labgen.model import Lab, Node
from labgen.orchestrators import swarm_changes, swarm_moved, swarm_states, swarm_words
from labgen.orchestrators.base import Membership, Orchestrator, State
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records.changes import Change

if TYPE_CHECKING:
    from labgen.engine import Engine, EngineInfo, SwarmNode
    from labgen.ssh import Connection

READY_LIMIT = 300  # seconds until all nodes are ready, and until the managers have a leader after a start
POLL = 1.0
STATES: dict[str, State] = {"ready": "ready", "down": "down", "disconnected": "down"}


class Swarm(Orchestrator):
    name = "swarm"
    kind = "swarm"
    noun = "Swarm"
    pools: Mapping[str, str] = {swarm_words.OVERLAY_POOL: "Swarm's overlay networks"}
    certificate = swarm_words.CERTIFICATE
    show = "docker node ls"
    runs_stacks = True
    departure = swarm_words.DEPARTURE
    holds = "services, configs, secrets"
    when_moved = "its Swarm is formed again around the first manager, with the services it has"

    def form(
        self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress, *, empty: Collection[str]
    ) -> bool:
        from labgen import engine  # noqa: PLC0415 - the SDK takes a fifth of a second, and --help needs none

        with ExitStack() as stack:
            engines = on_each(connections, lambda each: stack.enter_context(engine.connect(each)))
            infos = _settled(lab, engines)
            told = _tell_lost_workers(lab, connections, engines, infos, progress)
            if told:
                engines |= on_each(told, lambda each: stack.enter_context(engine.connect(each)))
                infos = _settled(lab, engines)
            swarm_states.refuse_unusable(lab, infos, empty)
            manager = _existing_manager(lab, infos)
            changed = manager is None or bool(told)
            if manager is None:
                swarm_states.refuse_new(lab, infos, empty)
                manager = lab.managers[0]
                progress.step("starting the Swarm", manager.name, stage="init")
                _leave_if_in(engines[manager.name], infos[manager.name])
                own = engines[manager.name].swarm_init(manager.address, swarm_words.OVERLAY_POOL)
                infos[manager.name] = replace(infos[manager.name], node_id=own, swarm_state="active")
                progress.done("started the Swarm", manager.name, stage="init")
            leader = engines[manager.name]
            former = {node.id for node in _with_leader(lab, leader)}
            swarm_states.refuse_strangers(lab, manager, infos, former, empty)
            missing = _missing(lab, infos, former)
            if missing:
                _join(missing, manager, engines, infos, progress)
            stayed = {name: info.node_id for name, info in infos.items() if name not in missing}
            members = _wait_until_ready(lab, stayed, former, leader, progress)
            joined = [node for node in lab.members if node.name in missing or node.name in empty]
            return _set_roles_and_labels(joined, leader, members) or changed or bool(missing)

    def move(self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress) -> None:
        """The first manager keeps the Swarm's data; the others leave, and join it again in :meth:`form`."""
        first = lab.managers[0]
        swarm_moved.take_over(lab, first, connections[first.name], progress)
        others = {node.name: connections[node.name] for node in lab.members if node != first}
        on_each(others, _leave)

    def renew_secrets(self, lab: Lab, connections: "Mapping[str, Connection]") -> None:
        from labgen import engine  # noqa: PLC0415

        with engine.connect(connections[lab.managers[0].name]) as manager:
            manager.rotate_join_tokens()

    def unlock(self, manager: "Connection", key: str) -> None:
        from labgen import engine  # noqa: PLC0415

        with engine.connect(manager) as each:
            if each.info().swarm_state == "locked":
                each.swarm_unlock(key)

    def regain(self, lab: Lab, manager: "Connection", progress: Progress) -> None:
        swarm_changes.regain(lab, manager, progress)

    def put_back(self, manager: "Connection", changes: Sequence[Change]) -> None:
        swarm_changes.put_back(manager, changes)

    def advice(self, *, managers: int, labels: bool) -> Iterator[str]:
        return swarm_words.advice(managers)

    def handoff(self) -> str:
        return swarm_words.handoff()

    def ports(self, node: Node) -> tuple[int, ...]:
        gossip = swarm_moved.GOSSIP_PORT
        return (swarm_moved.MANAGER_PORT, gossip) if node.role == "manager" else (gossip,)

    def complaint(self, node: Node, info: "EngineInfo") -> str:
        if info.swarm_state != "active":
            return f"its state in the Swarm is {info.swarm_state!r} {info.swarm_error}".strip()
        if info.address != node.address:
            return f"the other nodes expect it at {info.address}, not at {node.address}"
        return ""

    def members(self, lab: Lab, manager: "Connection") -> dict[str, Membership]:
        from labgen import engine  # noqa: PLC0415

        with engine.connect(manager, limit=20) as each:
            nodes = each.swarm_nodes()
        return {
            node.hostname: Membership(
                STATES.get(node.state, "unknown"), node.availability, node.leader, node.role == "manager"
            )
            # A node that has joined again has left an entry that is down: the live one is listed last.
            for node in sorted(nodes, key=lambda node: node.state == "ready")
        }


def _settled(lab: Lab, engines: "Mapping[str, Engine]") -> "dict[str, EngineInfo]":
    """Each engine's report, once none of them is joining or leaving a Swarm."""
    deadline = time.monotonic() + READY_LIMIT
    while True:
        infos = on_each(engines, lambda each: each.info())
        if not any(_is_on_its_way(lab, info) for info in infos.values()) or time.monotonic() > deadline:
            return infos
        time.sleep(POLL)


def _is_on_its_way(lab: Lab, info: "EngineInfo") -> bool:
    """Whether an engine is joining or leaving its Swarm."""
    return info.swarm_state == "pending" and not swarm_moved.looks_elsewhere(lab, info)


def _tell_lost_workers(
    lab: Lab,
    connections: "Mapping[str, Connection]",
    engines: "Mapping[str, Engine]",
    infos: "Mapping[str, EngineInfo]",
    progress: Progress,
) -> "dict[str, Connection]":
    """Tells workers that look for the managers in the wrong place where these are. :return: their connections."""
    manager = _existing_manager(lab, infos)
    if not manager or not any(swarm_moved.looks_elsewhere(lab, info) for info in infos.values()):
        return {}
    listed = _with_leader(lab, engines[manager.name])
    lost = {node.name: connections[node.name] for node in swarm_moved.lost_workers(lab, infos, listed)}
    for name in lost:
        progress.step("updating its list of managers", name, stage="tell-managers")
    managers = swarm_moved.managers_of(lab, infos, listed)
    on_each(lost, lambda each: swarm_moved.tell_managers(lab, each, managers))
    return lost


def _existing_manager(lab: Lab, infos: "Mapping[str, EngineInfo]") -> Node | None:
    """A manager of the existing Swarm; users promote workers, and demote managers."""
    for node in sorted(lab.members, key=lambda node: node.role != "manager"):
        if infos[node.name].swarm_state == "active" and infos[node.name].is_manager:
            return node
    return None


def _leave(connection: "Connection") -> None:
    from labgen import engine  # noqa: PLC0415

    with engine.connect(connection) as each:
        _leave_if_in(each, each.info())


def _leave_if_in(engine: "Engine", info: "EngineInfo") -> None:
    if info.swarm_state != "inactive":
        engine.swarm_leave()


def _missing(lab: Lab, infos: "Mapping[str, EngineInfo]", listed: set[str]) -> dict[str, Node]:
    """The nodes that are not in the Swarm whose entries are listed."""
    return {
        node.name: node
        for node in lab.members
        if infos[node.name].node_id not in listed or infos[node.name].swarm_state != "active"
    }


def _join(
    nodes: Mapping[str, Node],
    manager: Node,
    engines: "Mapping[str, Engine]",
    infos: "Mapping[str, EngineInfo]",
    progress: Progress,
) -> None:
    tokens = engines[manager.name].join_tokens()

    def join(node: Node) -> None:
        progress.step(f"joining the Swarm as a {node.role}", node.name, stage="join")
        _leave_if_in(engines[node.name], infos[node.name])
        try:
            engines[node.name].swarm_join(node.address, manager.address, tokens.of(node.role))
        except ClusterError as error:
            _wait_for_join(engines[node.name], error)
        progress.done(f"joined the Swarm as a {node.role}", node.name, stage="join")

    # Managers one after the other: when two join at once, the first one's store can stand still for a minute, with
    # nodes "down" (seen in Docker 26.1: "data store lock held too long"; also moby/swarmkit#2196).
    for name in [name for name, node in nodes.items() if node.role == "manager"]:
        join(nodes[name])
    on_each({name: node for name, node in nodes.items() if node.role != "manager"}, join)


def _wait_for_join(engine: "Engine", error: ClusterError) -> None:
    """Waits for a node whose join was reported as failed.

    Docker waits 20 s for a join, too short for emulated machines, and goes on in the background. Until it succeeds,
    the node need not be "pending" all the time: Docker restarts a node that failed (daemon/cluster/noderunner.go).
    It is "inactive" only if Docker has given up.

    :raises ClusterError: it does not join.
    """
    deadline = time.monotonic() + READY_LIMIT
    while (info := engine.info()).swarm_state != "active":
        if info.swarm_state == "inactive" or time.monotonic() > deadline:
            reported = f"docker info reports {info.swarm_state} {info.swarm_error}".strip()
            raise ClusterError(error.brief, f"{error.details}\n{reported}", error.resolution) from error
        time.sleep(POLL)


def _with_leader(lab: Lab, engine: "Engine") -> "list[SwarmNode]":
    """The Swarm's nodes; asks again while its managers have no leader, as after a start of all of them."""
    deadline = time.monotonic() + READY_LIMIT
    while True:
        try:
            return engine.swarm_nodes()
        except ClusterError as error:
            if time.monotonic() > deadline:
                raise swarm_states.leaderless(lab, engine.name, error, READY_LIMIT) from error
            time.sleep(POLL)


def _wait_until_ready(
    lab: Lab,
    stayed: Mapping[str, str],
    former: set[str],
    leader: "Engine",
    progress: Progress,
) -> "dict[str, SwarmNode]":
    """The Swarm's nodes by name, all ready; entries that no longer belong to a node are removed.

    :param stayed: the ids of the nodes that did not have to join. :param former: all ids before the others joined.
    """
    deadline = time.monotonic() + READY_LIMIT
    progress.step("waiting for all nodes to be ready", stage="wait-until-ready")
    while True:
        listed = _with_leader(lab, leader)
        members = {node.name: _member(node, stayed, former, listed) for node in lab.members}
        waiting = {
            name: member.state if member else "not listed"
            for name, member in members.items()
            if member is None or member.state != "ready"
        }
        if not waiting:
            break
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the Swarm of {lab.name} is not ready after {READY_LIMIT} s",
                "\n".join(f"{name}: {state}" for name, state in waiting.items()),
                f"Check its log: labgen exec {lab.name} --node {next(iter(waiting))} -- journalctl -u docker -n 50",
            )
        time.sleep(POLL)
    ready = {name: member for name, member in members.items() if member}
    for entry in listed:
        if entry not in ready.values() and (entry.hostname in ready or _has_never_come(entry)):
            _remove_left_over(leader, entry, deadline)
    return ready


def _member(
    node: Node, stayed: Mapping[str, str], former: set[str], listed: "Sequence[SwarmNode]"
) -> "SwarmNode | None":
    """A node's entry; if it has just joined, the new entry with its name."""
    if node.name in stayed:
        return next((each for each in listed if each.id == stayed[node.name]), None)
    new = [each for each in listed if each.hostname == node.name and each.id not in former]
    return next((each for each in new if each.state == "ready"), next(iter(new), None))


def _has_never_come(node: "SwarmNode") -> bool:
    """Whether it is the entry of a request to join whose answer was lost.

    The worker then requests its certificate again, and each request creates an entry (moby/swarmkit#2063), which
    is never removed. This happens on a busy manager.
    """
    return not node.hostname and node.state == "unknown"


def _remove_left_over(leader: "Engine", node: "SwarmNode", deadline: float) -> None:
    """Removes an entry that a node had before it joined again, or before it got its certificate.

    The managers may still consider it alive, and a manager has to leave their quorum first. A manager of before
    ``--force-new-cluster`` is in no quorum: it cannot be demoted, only removed.
    """
    while True:
        try:
            return leader.remove_node(node.id)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
        if node.role == "manager":
            with suppress(ClusterError):
                leader.update_node(node.id, "worker", {})
        time.sleep(POLL)


def _set_roles_and_labels(nodes: Sequence[Node], leader: "Engine", members: "Mapping[str, SwarmNode]") -> bool:
    """Only for nodes that have just joined. Later, both belong to the user."""
    changed = False
    for node in nodes:
        member = members[node.name]
        if member.role != node.role or not node.labels.items() <= member.labels.items():
            leader.update_node(member.id, node.role, node.labels)
            changed = True
    return changed
