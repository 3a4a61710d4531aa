"""Drills: exercises that break something on purpose, measure all the way through, and put it back."""

from labgen.drills.autolock import Autolock
from labgen.drills.balance import Balance
from labgen.drills.base import Drill
from labgen.drills.client_address import ClientAddress
from labgen.drills.drain import Drain
from labgen.drills.encrypted import Encrypted
from labgen.drills.leader_loss import LeaderLoss
from labgen.drills.limits import Limits
from labgen.drills.overlay import Overlay
from labgen.drills.partition import Partition
from labgen.drills.persist import Persist
from labgen.drills.power_off import PowerOff
from labgen.drills.quorum_loss import QuorumLoss
from labgen.drills.rollback import Rollback
from labgen.drills.rotate import Rotate
from labgen.drills.scale import Scale
from labgen.drills.spread import Spread
from labgen.drills.update import Update
from labgen.errors import UsageError
from labgen.suggestions import near

# In the order in which people do them.
DRILLS: dict[str, Drill] = {
    each.name: each
    for each in (
        Spread(),
        Scale(),
        Drain(),
        PowerOff(),
        Partition(),
        LeaderLoss(),
        QuorumLoss(),
        Update(),
        Rollback(),
        Persist(),
        Limits(),
        Overlay(),
        ClientAddress(),
        Balance(),
        Encrypted(),
        Autolock(),
        Rotate(),
    )
}

__all__ = ["DRILLS", "Drill", "find"]


def find(name: str) -> Drill:
    """:raises UsageError: there is no such drill."""
    if name not in DRILLS:
        raise UsageError(
            f"there is no drill named {name!r}", near(name, list(DRILLS), "drills"), "labgen drill --list"
        )
    return DRILLS[name]
