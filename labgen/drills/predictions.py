"""What a Swarm's own settings predict, to set beside what was measured.

Sources: docs.docker.com on ``--restart-delay``, and
https://github.com/moby/swarmkit/blob/master/manager/dispatcher/dispatcher.go (a node counts as down after three
heartbeats, each of which comes up to half a second early or late),
https://github.com/moby/swarmkit/blob/master/manager/dispatcher/nodes.go (a new leader waits twice as long for them),
https://github.com/moby/swarmkit/blob/master/manager/state/raft/raft.go (a tick a second, ten until an election),
https://github.com/etcd-io/raft/blob/main/raft.go (each manager adds up to as many again, at random).
"""

from datetime import datetime
from statistics import median

from labgen.drills.stage import Stage

MISSED = 3  # heartbeats
MISSED_BY_NEW_LEADER = 2 * MISSED
JITTER = 0.5  # seconds
ELECTION = (10, 20)  # seconds without a leader until a manager stands for election: at least, at most


def detection(stage: Stage, *, led: bool = False) -> tuple[float, float]:
    """After how many seconds a node counts as down: at least, at most.

    Its managers count from its last heartbeat, which came just before it was lost, or up to a whole period earlier.

    :param led: it was the leader: the next one counts from its own election.
    """
    heartbeat = stage.there.engine.heartbeat()
    if led:
        least, most = ELECTION
        missed = MISSED_BY_NEW_LEADER
        return (least + missed * (heartbeat - JITTER), most + missed * (heartbeat + JITTER))
    return (MISSED * (heartbeat - JITTER) - (heartbeat + JITTER), MISSED * (heartbeat + JITTER))


def detection_in_words(stage: Stage, *, led: bool = False) -> str:
    least, most = detection(stage, led=led)
    heartbeat = stage.there.engine.heartbeat()
    if led:
        return f"{least:g}-{most:g} s: an election, then {MISSED_BY_NEW_LEADER} heartbeats of {heartbeat:g} s"
    return f"{least:g}-{most:g} s: {MISSED} heartbeats of {heartbeat:g} s since the last"


def starting(stage: Stage) -> float:
    """Seconds that the service's tasks took to start, until their health checks were good; the median."""
    view = stage.look()
    took = [_seconds(task.created, task.since) for task in view.running(stage.service(view))]
    return median(took) if took else 0.0


def started_in_words(start: float, delay: float = 0) -> str:
    """:param start: what :func:`starting` says. :param delay: seconds until Swarm replaces a task that ended."""
    return f"{delay + start:.0f} s: " + (f"{delay:g} s delay, " if delay else "") + f"{start:.0f} s start"


def election_in_words() -> str:
    least, most = ELECTION
    return f"{least}-{most} s: raft's time until an election"


def rescheduled_in_words(stage: Stage, delay: float, start: float, *, led: bool = False) -> str:
    least, most = detection(stage, led=led)
    total = f"{least + delay + start:.0f}-{most + delay + start:.0f} s"
    return f"{total}: detection, {delay:g} s delay, {start:.0f} s start"


def _seconds(begin: str, end: str) -> float:
    """Between two of Docker's times, which have nine digits after the point."""
    return (_moment(end) - _moment(begin)).total_seconds()


def _moment(text: str) -> datetime:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}+00:00")
