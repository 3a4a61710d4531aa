"""``stack``: what is deployed in a lab's cluster."""

import contextlib
from collections.abc import Callable, Sequence

from labgen import ssh
from labgen.engine import Service
from labgen.errors import ClusterError, LabgenError, UsageError
from labgen.lab.balance import follow
from labgen.machines.opened import opened
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services import cluster, removal
from labgen.services.cluster import Cluster, entered
from labgen.services.view import View, look
from labgen.suggestions import near


def deployed(name: str) -> View:
    """The services in a lab. :raises LabgenError: see :func:`entered`."""
    with entered(name) as there:
        return look(there.engine)


def remove(name: str, stack: str, progress: Progress) -> dict[str, list[str]]:
    """Removes a stack; its volumes are kept.

    :return: those, and the files that were mounted, by node.
    :raises LabgenError: see :func:`entered`; the lab is busy; or containers do not stop.
    """
    with opened(name, progress, finished=True) as lab:
        running = cluster.running_members(lab.plan, lab.hypervisor)
        with cluster.managed(lab.plan, running) as there:
            _require(stack, there)
            kept = removal.remove(stack, there, lab.progress)
    follow(name, f"labgen stack remove {stack}", progress)
    return kept


def logs(
    name: str, stack: str, services: Sequence[str], tail: int | None, output: Callable[[str], None], *, follow: bool
) -> None:
    """Passes on what a stack's containers print, each line with its task and node.

    :param services: only these. :param tail: only so many last lines of each service. :param follow: until Ctrl-C.
    :raises LabgenError: see :func:`entered`.
    """
    with entered(name) as there:
        _require(stack, there)
        chosen = _chosen(there.engine.services.listed(stack), stack, services)
        options = ["--tail", "all" if tail is None else str(tail), *(["--follow"] if follow else [])]

        def pass_on(service: Service) -> int:
            command = ["sudo", "-n", "docker", "service", "logs", *options, service.name]
            lines, errors = ssh.Lines(output, keep=False), ssh.Lines(output, keep=False)
            with there.manager.start(command) as running:
                running.end_input()
                try:
                    status = running.wait(lines.take, errors.take)
                except OSError:  # nobody reads any more, which is true for all services
                    there.manager.stop("PIPE")
                    raise
            lines.end()
            errors.end()
            return status

        try:
            statuses = on_each({service.name: service for service in chosen}, pass_on)
        except KeyboardInterrupt:
            with contextlib.suppress(LabgenError):
                there.manager.stop("INT")
            raise
        if failed := [name for name, status in statuses.items() if status]:
            raise ClusterError(f"Docker does not show all logs of {', '.join(failed)}")


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
