"""Ways to a service that are measured beside each other: the mesh alone, and each load balancer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from labgen.drills.entrances import Entrance, is_on
from labgen.drills.stage import Stage, is_published
from labgen.traffic import Answer, Measurement, Target

MESH = "the mesh alone"
RETRIED = 1.9  # seconds; nginx and HAProxy wait two for a backend that is gone, and then ask another one


@dataclass(frozen=True)
class Lane:
    """A way to the service. :param targets: get a request each, in turn. :param entrance: None: the mesh alone."""

    label: str
    targets: tuple[Target, ...]
    entrance: Entrance | None = None

    def between(self, stage: Stage, begin: float, end: float) -> Measurement:
        """Its requests that were due between two moments (in seconds since the drill began)."""
        return stage.between(begin, end).through({target.node for target in self.targets})


def lanes(stage: Stage, entrances: Sequence[Entrance]) -> list[Lane]:
    """The mesh first, if the service publishes a port there."""
    mesh = [Lane(MESH, tuple(stage.targets()))] if is_published(stage.service()) else []
    return mesh + [Lane(each.label, (each.target,), each) for each in entrances]


def in_turn(among: Sequence[Lane]) -> list[Target]:
    """Targets for a load of which every lane gets the same part."""
    longest = max(len(lane.targets) for lane in among)
    rounds = ([lane.targets[number % len(lane.targets)] for lane in among] for number in range(longest))
    return list(chain.from_iterable(rounds))


def settled(troubled: Measurement, begin: float, end: float, quiet: float) -> float | None:
    """Seconds from a moment until the last trouble; None: there still was some at the end.

    :param troubled: where what counts as trouble has failed. :param begin: in seconds since the load began.
    :param end: likewise. :param quiet: seconds without trouble that have to be seen.
    """
    last = max((each.at for each in troubled.between(begin, end).failures), default=begin)
    return None if last > end - quiet and last > begin else last - begin


def slow(measured: Measurement, limit: float) -> list[Answer]:
    """Answers that took longer. :param limit: in seconds."""
    return [each for each in measured.answers if each.took > limit and not each.failure]


def sent_to(measured: Measurement, node: str) -> list[Answer]:
    """The requests that a balancer sent to a node, or to its tasks, as it says, by their moments."""
    return sorted((each for each in measured.answers if is_on(each.backend, node)), key=lambda each: each.at)
