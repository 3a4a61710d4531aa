"""``deploy``: a compose file in a lab's cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from labgen import stacks
from labgen.machines.opened import opened
from labgen.progress import Progress
from labgen.services import cluster, convergence, deployment
from labgen.services.view import View, look
from labgen.services.witness import Nodes


@dataclass(frozen=True)
class Deployed:
    """:param stack: its name. :param view: its services; as they were at the beginning if nobody waited."""

    stack: str
    view: View


def deploy(
    name: str, source: str, called: str, shell: Mapping[str, str], progress: Progress, *, limit: float | None
) -> Deployed:
    """Deploys a stack, and waits until its services run as they should.

    :param source: a stack's name, or a compose file. :param called: the stack's name here; empty: the file's.
    :param shell: the variables that the file may use. :param limit: seconds; None: does not wait.
    :raises StackError: the compose file is not valid. :raises UsageError: there is no such lab, stack or file.
    :raises ClusterError: something is missing, Docker refuses, or the services do not run as they should.
    :raises GuestError: a node does not answer.
    """
    compose = stacks.read(stacks.find(source), shell)
    stack = stacks.name_of(compose.path, called, compose.name)
    if compose.unset:
        progress.note(f"variables that are not set are empty: {', '.join(compose.unset)}")
    with opened(name, progress, finished=True) as lab:
        running = cluster.running_members(lab.plan, lab.hypervisor)
        with cluster.entered(lab.plan, running) as there:
            before = {task.id for task in there.engine.services.tasks()}
            deployment.create(compose, stack, there, lab.progress)
            view = look(there.engine, stack)
        told = lab.progress
    if limit is None:
        return Deployed(stack, view)
    with cluster.entered(lab.plan, running) as there:  # the lab is no longer locked: users may do anything meanwhile
        try:
            return Deployed(stack, convergence.wait(there.engine, stack, before, Nodes(there), told, limit=limit))
        except convergence.NotConverged as error:
            error.resolution = f"Correct it and deploy again, or: labgen stack remove {name} {stack}"
            raise
