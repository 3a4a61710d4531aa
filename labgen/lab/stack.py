"""``stack``: what is deployed in a lab's cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from labgen.engine import Service
from labgen.errors import UsageError
from labgen.machines.opened import opened
from labgen.machines.seen import seen
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services import cluster, removal
from labgen.services.cluster import Cluster
from labgen.services.view import View, look
from labgen.suggestions import near


@contextmanager
def entered(name: str) -> Iterator[Cluster]:
    """The cluster of a lab that is only looked at.

    :raises UsageError: there is no such lab, or it has no cluster. :raises GuestError: it is off.
    :raises ClusterError: no manager answers.
    """
    with seen(name) as (journal, hypervisor):
        lab, running = journal.lab, cluster.running_members(journal.lab, hypervisor)
    with cluster.entered(lab, running) as there:
        yield there


def deployed(name: str, stack: str = "") -> View:
    """The services in a lab. :param stack: only its services. :raises LabgenError: see :func:`entered`."""
    with entered(name) as there:
        if stack:
            _require(stack, there)
        return look(there.engine, stack)


def remove(name: str, stack: str, progress: Progress) -> dict[str, list[str]]:
    """Removes a stack; its volumes are kept.

    :return: those, by node. :raises LabgenError: see :func:`entered`; the lab is busy; or containers do not stop.
    """
    with opened(name, progress, finished=True) as lab:
        running = cluster.running_members(lab.plan, lab.hypervisor)
        with cluster.entered(lab.plan, running) as there:
            _require(stack, there)
            return removal.remove(stack, there, lab.progress)


def logs(
    name: str, stack: str, services: Sequence[str], tail: int | None, output: Callable[[bytes], None], *, follow: bool
) -> None:
    """Passes on what a stack's containers print, each line with its task and node.

    :param services: only these. :param tail: only so many last lines of each service. :param follow: until Ctrl-C.
    :raises LabgenError: see :func:`entered`.
    """
    with entered(name) as there:
        _require(stack, there)
        chosen = _chosen(there.engine.services.listed(stack), stack, services)
        options = ["--tail", "all" if tail is None else str(tail), *(["--follow"] if follow else [])]

        def pass_on(service: Service) -> None:
            command = ["sudo", "-n", "docker", "service", "logs", *options, service.name]
            with there.manager.start(command) as running:
                running.end_input()
                running.wait(output, output)

        try:
            on_each({service.name: service for service in chosen}, pass_on)
        except KeyboardInterrupt:
            there.manager.stop("INT")
            raise


def _require(stack: str, there: Cluster) -> None:
    stacks = removal.known(there.engine)
    if stack not in stacks:
        hint = near(stack, stacks, "stacks")
        raise UsageError(
            f"{there.lab.name!r} has no stack named {stack!r}", hint, f"labgen stack list {there.lab.name}"
        )


def _chosen(services: Sequence[Service], stack: str, names: Sequence[str]) -> list[Service]:
    by_name = {cluster.short(service.name, stack): service for service in services}
    for name in names:
        if name not in by_name:
            raise UsageError(
                f"the stack {stack!r} has no service named {name!r}", near(name, list(by_name), "services")
            )
    return [by_name[name] for name in names or by_name]
