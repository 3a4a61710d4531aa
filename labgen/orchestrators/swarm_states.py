"""The states of a Swarm that labgen does not repair by itself: the evidence, and how to fix them. Pure.

The states are Docker's LocalNodeState (api/types/swarm in moby): inactive, pending, active, error, locked.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from labgen.errors import ClusterError
from labgen.model import Lab, Node
from labgen.orchestrators.base import ClusterGone, ClusterLocked
from labgen.orchestrators.swarm_words import CERTIFICATE, OVERLAY_POOL

if TYPE_CHECKING:
    from labgen.engine import EngineInfo

UNTOUCHED = "Nothing was changed in the Swarm."


def refuse_unusable(lab: Lab, infos: "Mapping[str, EngineInfo]", empty: Collection[str]) -> None:
    """:param empty: the nodes that have nothing to lose.

    :raises ClusterLocked: a manager needs its key. :raises ClusterError: a node is in error, or makes no progress.
    """
    held = [node for node in lab.members if node.name not in empty]
    if locked := [node for node in held if infos[node.name].swarm_state == "locked"]:
        raise ClusterLocked(
            f"the Swarm of {lab.name!r} is locked on {_names(locked)}",
            "autolock is on: after a restart, a manager needs the key that was printed when autolock was turned on",
            f"{UNTOUCHED} On each of them: labgen ssh {lab.name} {locked[0].name} docker swarm unlock\n"
            f"'labgen start {lab.name}' on a terminal asks for the key.",
        )
    broken = [node for node in held if infos[node.name].swarm_state in {"error", "pending"}]
    if not broken:
        return
    seen = [_seen(node, infos[node.name]) for node in broken]
    if any("certificate" in infos[node.name].swarm_error for node in broken):
        raise ClusterError(
            f"the Swarm's certificates are not valid on {_names(broken)}",
            "\n".join(seen),
            _way_with_certificates(lab, broken),
        )
    raise ClusterError(
        f"the Swarm of {lab.name!r} does not work on {_names(broken)}", "\n".join(seen), _way_with_errors(lab, broken)
    )


def refuse_new(lab: Lab, infos: "Mapping[str, EngineInfo]", empty: Collection[str]) -> None:
    """Called where no node is a manager of a Swarm.

    :raises ClusterGone: there was one before.
    """
    if all(node.name in empty for node in lab.members):
        return
    left = [node for node in lab.managers if infos[node.name].swarm_state == "inactive"]
    first = lab.managers[0]
    raise ClusterGone(
        f"the Swarm of {lab.name!r} no longer has a manager",
        "\n".join(
            [f"{node.name} has left it" for node in left] + [_seen(node, infos[node.name]) for node in lab.members]
        ),
        f"{UNTOUCHED} Its contents (services, configs, secrets) were on its managers only. To form a new one:\n"
        f"'labgen start {lab.name}' on a terminal offers to do it. To make {first.name} its first manager yourself:\n"
        f"labgen exec {lab.name} --node {first.name} -- docker swarm init --advertise-addr {first.address} "
        f"--default-addr-pool {OVERLAY_POOL}",
    )


def refuse_strangers(
    lab: Lab, manager: Node, infos: "Mapping[str, EngineInfo]", listed: Collection[str], empty: Collection[str]
) -> None:
    """:param listed: the ids of the nodes that the Swarm's manager has.

    :raises ClusterError: a node is active in another Swarm, or was removed from this one and has not noticed yet.
    """
    strangers = [
        node
        for node in lab.members
        if node.name not in empty
        and infos[node.name].swarm_state == "active"
        and infos[node.name].node_id not in listed
    ]
    if strangers:
        first = strangers[0].name
        raise ClusterError(
            f"{_names(strangers)} is in a Swarm that {manager.name} does not know",
            "\n".join(_seen(node, infos[node.name]) for node in strangers),
            f"{UNTOUCHED} If you need nothing there, make it leave; 'labgen start {lab.name}' then joins it again:\n"
            f"labgen exec {lab.name} --node {first} -- docker swarm leave --force",
        )


def leaderless(lab: Lab, manager: str, error: ClusterError, limit: float) -> ClusterError:
    """:param error: a manager's answer when it is asked. :param limit: seconds for which it was asked."""
    return ClusterError(
        f"the managers of {lab.name!r} do not agree on a leader within {limit:.0f} s",
        error.details,
        f"{UNTOUCHED} More than half of its managers have to run and reach each other. If the others are lost for "
        "good,\none can lead alone, with all services; the other nodes then have to join again:\n"
        f"labgen exec {lab.name} --node {manager} -- docker swarm init --force-new-cluster",
    )


def _names(nodes: Collection[Node]) -> str:
    return ", ".join(node.name for node in nodes)


def _seen(node: Node, info: "EngineInfo") -> str:
    managers = f"; it looks for managers at {', '.join(info.managers)}" if info.managers else ""
    error = f": {info.swarm_error}" if info.swarm_error else ""
    return f"{node.name}: docker info reports {info.swarm_state}{error}{managers}"


def _way_with_certificates(lab: Lab, broken: Collection[Node]) -> str:
    """As measured with Docker 26: it renews a certificate once it can use it, within a quarter of a minute."""
    first = next(iter(broken)).name
    return (
        f"{UNTOUCHED} Node certificates are valid for 90 days, and are renewed while the nodes run.\n"
        "Set the clock back into that time (see 'openssl x509 -dates' of the file below), restart Docker,\n"
        "wait half a minute, and let labgen set the clock:\n"
        f"labgen exec {lab.name} --node {first} -- sudo openssl x509 -noout -dates -in {CERTIFICATE}\n"
        f"labgen exec {lab.name} -- sudo sh -c "
        "'systemctl stop labgen-clock.timer; date --set DATE && systemctl restart docker'\n"
        f"labgen start {lab.name}\n"
        f"labgen exec {lab.name} -- sudo systemctl start labgen-clock.timer"
    )


def _way_with_errors(lab: Lab, broken: Collection[Node]) -> str:
    first = next(iter(broken))
    look = f"labgen exec {lab.name} --node {first.name} -- sudo journalctl -u docker -n 50"
    way = f"{UNTOUCHED} Check its log: {look}"
    if first.role == "worker":
        way += (
            f"\nA worker stores no Swarm state. To join it again: "
            f"labgen exec {lab.name} --node {first.name} -- docker swarm leave --force; labgen start {lab.name}"
        )
    return way
