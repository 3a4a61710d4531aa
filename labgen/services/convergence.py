"""Waiting until a stack's services run as they should."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from labgen.engine import Service
from labgen.errors import ClusterError
from labgen.progress import Progress
from labgen.services.cluster import Cluster, short
from labgen.services.reasons import Witness, reasons
from labgen.services.view import ENDED, View, look
from labgen.services.witness import Nodes

POLL = 1.0  # seconds
STABLE = 5  # seconds; as "docker service create" waits, because a task may fail right after it has started
# Seconds without any change, while nothing is being prepared or started, until waiting is given up: Swarm tries again
# after 5 s unless a service says otherwise.
QUIET = 45
STOPPED = {"paused", "rollback_paused"}  # updates that need the user
BUSY = {"new", "allocated", "assigned", "accepted", "preparing", "ready", "starting"}


@dataclass(frozen=True)
class Deployed:
    """What is waited for.

    :param services: the names of those in the compose file; a stack may have former ones.
    :param before: the ids of the tasks that were there before.
    """

    stack: str
    services: frozenset[str]
    before: frozenset[str]


class NotConverged(ClusterError):
    """Services do not run as they should; the details say why."""


def wait(there: Cluster, deployed: Deployed, progress: Progress, *, limit: float) -> View:
    """Waits until all of a stack's services have the tasks that they should have, running and healthy.

    :param limit: seconds.
    :return: what runs then.
    :raises NotConverged: the limit passed, nothing moves any more, or an update was paused or rolled back.
    :raises ClusterError: the manager does not answer.
    """
    witness = Nodes(there)
    began = changed = time.monotonic()
    good_since, last, told = 0.0, None, ""
    while True:
        view, now = _of_the_file(look(there.engine, deployed.stack), deployed), time.monotonic()
        if len(view.services) < len(deployed.services):
            raise NotConverged(f"services of {deployed.stack} were removed while labgen waited for them")
        waiting = [service for service in view.services if not view.has_converged(service)]
        if (words := _in_words(view, deployed.stack)) != told:
            progress.step(told := words, stage="converge")
        if stopped := [service for service in view.services if service.update_state in STOPPED]:
            raise _not_converged(deployed, stopped, view, witness, "")
        good_since = 0.0 if waiting else good_since or now
        if good_since and now - good_since >= STABLE:
            if rolled_back := [each for each in view.services if each.update_state == "rollback_completed"]:
                raise _not_converged(deployed, rolled_back, view, witness, "")
            return view
        state = {(task.id, task.state) for service in view.services for task in view.of(service)}
        if state != last or not _is_quiet(view, waiting):
            last, changed = state, now
        if waiting and now - changed > QUIET:
            raise _not_converged(deployed, waiting, view, witness, f"nothing has changed for {QUIET} s")
        if waiting and now - began > limit:
            raise _not_converged(deployed, waiting, view, witness, f"waited for {limit:.0f} s")
        time.sleep(POLL)


def _of_the_file(view: View, deployed: Deployed) -> View:
    """Without services that are not in the compose file, and tasks that ended before."""
    services = tuple(service for service in view.services if service.name in deployed.services)
    old = {task.id for task in view.tasks if task.state in ENDED} & deployed.before
    return View(services, view.nodes, tuple(task for task in view.tasks if task.id not in old))


def _is_quiet(view: View, waiting: Collection[Service]) -> bool:
    """Whether nothing is going on: an update may pause between two tasks, as long as all run."""
    return all(
        view.lacks_tasks(service) and not any(task.state in BUSY for task in view.current(service))
        for service in waiting
    )


def _not_converged(
    deployed: Deployed, services: list[Service], view: View, witness: Witness, waited: str
) -> NotConverged:
    lines = [waited] if waited else []
    for service in services:
        lines.append(
            f"{short(service.name, deployed.stack)}: {view.done(service)} of {view.wanted(service)} tasks run"
        )
        for reason in reasons(service, view, witness) or ["no reason to be seen"]:
            lines += [f"  {line}" for line in reason.splitlines()]
    names = ", ".join(short(service.name, deployed.stack) for service in services)
    return NotConverged(f"{deployed.stack} is deployed, but does not run as it should: {names}", "\n".join(lines))


def _in_words(view: View, stack: str) -> str:
    counts = (f"{short(each.name, stack)} {view.done(each)}/{view.wanted(each)}" for each in view.services)
    return f"tasks that run: {', '.join(counts)}"
