"""What is changed in a lab for a while, by a drill or while services are rebalanced, and has to be put back.

A change is written down before it is made. So whatever ends that command, the next one that works on the lab knows
what to put back.
"""

import contextlib
import json
from dataclasses import dataclass
from typing import Literal

from labgen import paths
from labgen.errors import LabgenError
from labgen.records.record import Kind

# "power": a machine is off. "link": its network is unplugged. "availability": of a node in the cluster.
# "service": its settings. "extra": a service that is there only for a while. "network": likewise. "autolock": whether
# the managers need a key. "rejoin": a manager is off that must not come back to its former cluster. "balancer-drain":
# a node gets no new clients from the load balancers.
What = Literal["power", "link", "availability", "service", "extra", "network", "autolock", "rejoin", "balancer-drain"]
FILE_MODE = 0o600  # a service's settings may contain what only its owner should know


@dataclass(frozen=True)
class Change:
    """:param name: the node's or service's. :param former: what has to be there again; settings as JSON.

    ``former`` is the manager that has the cluster if the node has to join it again.
    """

    what: What
    name: str
    former: str = ""


@dataclass(frozen=True)
class Changes:
    """:param command: that makes them, for users. :param made: in this order."""

    command: str
    made: tuple[Change, ...] = ()


_KIND = Kind(Changes, mode=FILE_MODE)


def save(lab: str, changes: Changes) -> None:
    _KIND.save(paths.changes(lab), changes)


def load(lab: str) -> Changes | None:
    """None: there are none. :raises LabgenError: what is recorded cannot be read."""
    path = paths.changes(lab)
    try:
        found = _KIND.load(path)
        for change in found.made:
            if change.what == "service":
                json.loads(change.former)
        return found
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabgenError(
            f"the record of what has to be put back in {lab!r} is damaged",
            f"{path}: {error}",
            f"Check the lab (labgen status {lab}, docker node ls, docker service ls), then remove the file.",
        ) from error


def drop(lab: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        paths.changes(lab).unlink()
