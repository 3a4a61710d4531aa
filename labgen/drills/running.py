"""Running a drill: its hypothesis is checked before, everything is put back afterwards, however it ends."""

import contextlib
from collections.abc import Callable

from labgen.drills.base import Drill
from labgen.drills.stage import Stage, published
from labgen.engine import Service
from labgen.errors import ClusterError, UsageError
from labgen.machines.opened import Opened
from labgen.records import results
from labgen.records.notebook import in_words
from labgen.records.results import Result
from labgen.services import cluster, inspection
from labgen.services.cluster import Cluster
from labgen.services.finder import find
from labgen.services.placement import can_run
from labgen.services.view import look


def run(drill: Drill, lab: Opened, service: str, rate: float, *, force: bool) -> Result:
    """:param service: its name; empty: the only one that publishes a port. :param rate: requests per second.

    :return: the record; its verdict tells whether the hypothesis came true.
    :raises UsageError: the lab or the service does not allow the drill.
    :raises ClusterError: the lab is not in a steady state. :raises LabgenError: the drill cannot be done.
    """
    with cluster.managed(lab.plan, cluster.running_members(lab.plan, lab.hypervisor)) as there:
        require_steady_nodes(lab, there)
        chosen = ""
        if drill.needs_service:
            found = _service(service, drill, there, lab.plan.name)
            if drill.measures:
                published(found)
            chosen = found.name
            require_steady_service(chosen, there, lab.plan.name)
        record = results.begun("drill", drill.name, chosen, drill.hypothesis)
        stage = Stage(lab, there, chosen, rate, record, force=force)
        drill.refuse(stage)
        return kept(stage, drill.run)


def kept(stage: Stage, act: Callable[[Stage], None]) -> Result:
    """Does something on a stage, puts everything back, and keeps the record, however it ends.

    :raises LabgenError: from the drill, or because something cannot be put back.
    """
    failures: list[BaseException] = []

    def inspect_and_act(stage: Stage) -> None:
        inspection.keep(stage, stage.there)
        act(stage)

    for work in (inspect_and_act, Stage.put_back):
        try:
            work(stage)
        except BaseException as error:  # raised again below, when all is put back
            failures.append(error)
    if not failures:
        return stage.end("passed" if all(check.passed for check in stage.result.checks) else "failed")
    for failure in failures[1:]:
        stage.progress.note(f"not put back; the next labgen command tries again: {in_words(failure)}")
    with contextlib.suppress(OSError):  # the first error is the one to report
        stage.fail(failures[0])
    raise failures[0]


def require_steady_nodes(lab: Opened, there: Cluster) -> None:
    """:raises ClusterError: a node is not as it should be, so that nothing could be learned from the drill."""
    states = {node.hostname: f"{node.state}, {node.availability}" for node in sorted(there.nodes(), key=can_run)}
    unplugged = lab.hypervisor.links.down(lab.plan.prefix, lab.plan.network)
    members = {node.name: states.get(node.name, "unknown to the managers") for node in lab.plan.members}
    members |= {node.name: "its network is unplugged" for node in lab.plan.members if node.domain in unplugged}
    if wrong := [f"{name}: {state}" for name, state in members.items() if state != "ready, active"]:
        name = lab.plan.name
        raise ClusterError(
            f"{name!r} is not in a steady state, from which a drill could begin",
            "\n".join(wrong),
            f"labgen start {name}; docker node update --availability active NODE; labgen net {name} --reset",
        )


def require_steady_service(name: str, there: Cluster, lab: str) -> None:
    """:raises ClusterError: the service does not run as it should."""
    view = look(there.engine)
    service = view.service(name)
    if not view.has_converged(service):
        raise ClusterError(
            f"{name} does not run as it should, so that a drill could begin",
            f"{view.done(service)} of {view.wanted(service)} tasks run {service.update_state}".strip(),
            f"labgen why {lab} {name}",
        )


def _service(name: str, drill: Drill, there: Cluster, lab: str) -> Service:
    """:raises UsageError: there is no such service, or it is not clear which one."""
    services = look(there.engine).services
    if name:
        return find(services, name, lab)
    if not (found := [each for each in services if drill.fits(each)]):
        raise UsageError(f"nothing in {lab!r} publishes a port", resolution=f"First: labgen deploy {lab} hello")
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise UsageError("several services can be meant", names, f"Choose one: --service {found[0].name}")
    return found[0]
