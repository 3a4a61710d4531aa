"""Requests that are on their way while something is done: the stack "hello" answers some after a while."""

import threading
from collections.abc import Sequence

from labgen.drills.lanes import Lane
from labgen.drills.page import ask
from labgen.errors import ClusterError
from labgen.traffic import Target

TAKES = 10  # seconds until such a request is answered
PATIENCE = 10  # seconds more, after which it counts as lost
EACH = 6  # requests on every lane: with three backends, two for each


def are_possible(target: Target) -> bool:
    """Whether there is a page that answers after a while, as that of the stack "hello"."""
    try:
        return "answered after" in ask(target, "slow?s=0").text
    except ClusterError:
        return False


class InFlight:
    """The requests, from now on. :ivar lost: how many were not answered, by lane; complete after :meth:`wait`."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lost = {lane.label: 0 for lane in lanes}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._one, args=(lane.label, lane.targets[number % len(lane.targets)]), daemon=True
            )
            for lane in lanes
            for number in range(EACH)
        ]
        for each in self._threads:
            each.start()

    def wait(self) -> None:
        """Until each was answered, or is lost."""
        for each in self._threads:
            each.join()

    def _one(self, label: str, target: Target) -> None:
        try:
            was_answered = ask(target, f"slow?s={TAKES}", limit=TAKES + PATIENCE).status < 400
        except ClusterError:
            was_answered = False
        if not was_answered:
            with self._lock:
                self.lost[label] += 1
