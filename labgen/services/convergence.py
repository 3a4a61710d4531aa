"""Waiting until a stack's services run as they should."""

import time
from collections.abc import Collection

from labgen.engine import Engine, Service
from labgen.errors import ClusterError
from labgen.progress import Progress
from labgen.services.cluster import short
from labgen.services.reasons import MISSING_IMAGE, Witness, reasons
from labgen.services.view import View, look

POLL = 1.0  # seconds
STABLE = 5  # seconds; as "docker service create" waits, because a task may fail right after it has started
# Seconds without any change, while nothing is being prepared or started, until waiting is given up: Swarm tries again
# after 5 s unless a service says otherwise.
QUIET = 45
REFUSED_IMAGES = 3  # tasks
BUSY = {"new", "allocated", "assigned", "accepted", "preparing", "ready", "starting"}


class NotConverged(ClusterError):
    """Services do not run as they should; the details say why."""


def wait(
    engine: Engine, stack: str, before: Collection[str], witness: Witness, progress: Progress, *, limit: float
) -> View:
    """Waits until all of a stack's services have the tasks that they should have, running and healthy.

    :param before: the ids of the tasks that were there before the stack was deployed. :param limit: seconds.
    :return: what runs then.
    :raises NotConverged: the limit passed, nothing moves any more, or an update was paused or rolled back.
    :raises ClusterError: the manager does not answer.
    """
    began = changed = time.monotonic()
    good_since, last, told = 0.0, None, ""
    while True:
        view, now = look(engine, stack), time.monotonic()
        new = _without(view, before)
        waiting = [service for service in view.services if not view.has_converged(service)]
        if (words := _in_words(view, stack)) != told:
            progress.step(told := words, stage="converge")
        if failed := [service for service in view.services if _is_given_up(service, new)]:
            raise _not_converged(stack, failed, new, witness, "")
        good_since = 0.0 if waiting else good_since or now
        if good_since and now - good_since >= STABLE:
            if rolled_back := [each for each in view.services if each.update_state == "rollback_completed"]:
                raise _not_converged(stack, rolled_back, new, witness, "")
            return view
        state = {(task.id, task.state) for service in view.services for task in view.of(service)}
        if state != last or any(task.state in BUSY for service in waiting for task in view.current(service)):
            last, changed = state, now
        if waiting and now - changed > QUIET:
            raise _not_converged(stack, waiting, new, witness, f"nothing has changed for {QUIET} s")
        if waiting and now - began > limit:
            raise _not_converged(stack, waiting, new, witness, f"waited for {limit:.0f} s")
        time.sleep(POLL)


def _without(view: View, before: Collection[str]) -> View:
    """Without the tasks that ended before."""
    return View(
        view.services,
        view.nodes,
        tuple(task for task in view.tasks if task.id not in before or task.state == "running"),
    )


def _is_given_up(service: Service, view: View) -> bool:
    """Whether waiting is of no use: Swarm stopped by itself, or nodes refuse the image again and again."""
    if service.update_state in {"paused", "rollback_paused"}:
        return True
    refused = [task for task in view.broken(service) if MISSING_IMAGE.search(task.error)]
    return len(refused) >= REFUSED_IMAGES and not view.has_converged(service)


def _not_converged(stack: str, services: list[Service], view: View, witness: Witness, waited: str) -> NotConverged:
    lines = [waited] if waited else []
    for service in services:
        lines.append(f"{short(service.name, stack)}: {view.done(service)} of {view.wanted(service)} tasks run")
        for reason in reasons(service, view, witness) or ["no reason to be seen"]:
            lines += [f"  {line}" for line in reason.splitlines()]
    names = ", ".join(short(service.name, stack) for service in services)
    return NotConverged(f"{stack} is deployed, but does not run as it should: {names}", "\n".join(lines))


def _in_words(view: View, stack: str) -> str:
    counts = (f"{short(each.name, stack)} {view.done(each)}/{view.wanted(each)}" for each in view.services)
    return f"tasks that run: {', '.join(counts)}"
