"""Taking back what was changed in a Swarm for a while."""

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labgen.errors import ClusterError
from labgen.model import Lab
from labgen.orchestrators import swarm_moved
from labgen.progress import Progress
from labgen.records.changes import Change

if TYPE_CHECKING:
    from labgen.engine import Engine
    from labgen.ssh import Connection

NETWORK_LIMIT = 60  # seconds until the containers of a removed service have left their network
LEADER_LIMIT = 120  # seconds until an unlocked manager takes part again
POLL = 1.0  # seconds


def put_back(manager: "Connection", changes: Sequence[Change]) -> None:
    """:raises ClusterError: the node does not manage the Swarm, or its Docker refuses."""
    from labgen import engine  # noqa: PLC0415 - the SDK takes a fifth of a second, and --help needs none

    with engine.connect(manager) as docker:
        for change in changes:
            _put_back(change, docker)


def regain(lab: Lab, manager: "Connection", progress: Progress) -> None:
    """Makes a manager the only one, unless its Swarm has a leader. :raises ClusterError: Docker refuses."""
    from labgen import engine  # noqa: PLC0415

    with engine.connect(manager) as docker:
        try:
            docker.swarm_nodes()
        except ClusterError:
            swarm_moved.take_over(lab, lab.node(manager.target.name), manager, progress)


def _put_back(change: Change, docker: "Engine") -> None:
    if change.what == "availability":
        for node in docker.swarm_nodes():
            if node.hostname == change.name and node.availability != change.former:
                docker.set_availability(node.id, change.former)
    elif change.what == "service":
        docker.services.set(change.name, json.loads(change.former))
    elif change.what == "extra":
        docker.services.remove(change.name)
    elif change.what == "network":
        # Its containers leave it when they have ended.
        _tried(lambda: docker.services.remove_network(change.name), NETWORK_LIMIT)
    elif change.what == "autolock":
        # The manager has just been unlocked, and does not take part yet.
        _tried(lambda: docker.set_autolock(locked=False), LEADER_LIMIT)


def _tried(work: Callable[[], None], limit: float) -> None:
    """Does something as soon as it succeeds. :param limit: seconds."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return work()
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)
