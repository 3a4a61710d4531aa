"""``why``: the reasons why a service does not run as it should."""

from dataclasses import dataclass

from labgen.services.cluster import entered
from labgen.services.finder import find
from labgen.services.reasons import reasons
from labgen.services.view import look
from labgen.services.witness import Nodes


@dataclass(frozen=True)
class Why:
    """:param nodes: how many tasks run on each, by name. :param reasons: each with its evidence in further lines."""

    service: str
    running: int
    wanted: int
    converged: bool
    nodes: dict[str, int]
    reasons: list[str]


def why(name: str, service: str) -> Why:
    """:param service: its name; the stack's name before it can be left out if only one service has it.

    :raises UsageError: there is no such lab or service, or the lab has no cluster.
    :raises GuestError: the lab is off. :raises ClusterError: no manager answers.
    """
    with entered(name) as there:
        view = look(there.engine)
        found = find(view.services, service, name)
        return Why(
            found.name,
            view.done(found),
            view.wanted(found),
            view.has_converged(found),
            view.spread(found),
            reasons(found, view, Nodes(there)),
        )
