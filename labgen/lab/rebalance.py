"""``rebalance``: tasks move to the nodes that have too few."""

from collections.abc import Sequence
from dataclasses import dataclass

from labgen.drills import rebalancing
from labgen.drills.running import kept, require_steady_service
from labgen.drills.stage import Stage
from labgen.lab.balance import follow
from labgen.machines.opened import Opened, opened
from labgen.progress import Progress
from labgen.records import results
from labgen.records.results import Result
from labgen.services import cluster
from labgen.services.balance import Balance, balance, obstacle
from labgen.services.cluster import Cluster, entered
from labgen.services.finder import find
from labgen.services.view import look

HYPOTHESIS = "The tasks are spread evenly afterwards, as few as possible have moved, and no request was lost."
FORCED = "The tasks are spread evenly afterwards, every one has been replaced, and no request was lost."


@dataclass(frozen=True)
class Plan:
    """:param obstacle: why the service is left alone; empty: it is not."""

    balance: Balance
    obstacle: str = ""


def plans(name: str, services: Sequence[str]) -> list[Plan]:
    """What would be moved. :param services: their names; none: all.

    :raises UsageError: there is no such lab or service. :raises LabgenError: see :func:`entered`.
    """
    with entered(name) as there:
        return _plans(there, services, name)


def rebalance(name: str, services: Sequence[str], rate: float, progress: Progress, *, force: bool) -> list[Result]:
    """Moves as few tasks as possible, one service after the other; those that are balanced are left alone.

    :param services: their names; none: all. :param rate: requests per second, while it measures.
    :param force: replaces all tasks of the services instead.
    :return: a record of each service, which is kept with the lab.
    :raises UsageError: there is no such lab or service. :raises LabgenError: a task cannot move; all is put back.
    """
    try:
        with opened(name, progress, finished=True) as lab:
            running = cluster.running_members(lab.plan, lab.hypervisor)
            with cluster.managed(lab.plan, running) as there:
                uneven = _uneven(lab, there, services, force=force)
                return [_one(lab, there, service, rate, force=force) for service in uneven]
    finally:
        follow(name, "labgen rebalance", progress)


def _uneven(lab: Opened, there: Cluster, services: Sequence[str], *, force: bool) -> list[str]:
    chosen = _plans(there, services, lab.plan.name)
    for plan in chosen:
        if plan.obstacle:
            lab.progress.note(f"{plan.balance.service} is left alone: {plan.obstacle}")
    return [plan.balance.service for plan in chosen if not plan.obstacle and (force or plan.balance.moves)]


def _one(lab: Opened, there: Cluster, service: str, rate: float, *, force: bool) -> Result:
    require_steady_service(service, there, lab.plan.name)
    record = results.begun("rebalance", "force" if force else "", service, FORCED if force else HYPOTHESIS)
    stage = Stage(lab, there, service, rate, record, force=force)
    return kept(stage, rebalancing.force if force else rebalancing.rebalance)


def _plans(there: Cluster, services: Sequence[str], lab: str) -> list[Plan]:
    view = look(there.engine)
    wanted = [find(view.services, each, lab) for each in services] or view.services
    return [Plan(balance(service, view), obstacle(service)) for service in wanted]
