"""``deploy``: a compose file in a lab's cluster."""

import time
from collections import Counter
from collections.abc import Mapping

from labgen import stacks
from labgen.errors import ClusterError, GuestError
from labgen.lab.balance import follow
from labgen.machines.opened import opened
from labgen.progress import Progress
from labgen.records import results
from labgen.records.notebook import Notebook
from labgen.services import cluster, convergence, deployment, inspection
from labgen.services.cluster import entered
from labgen.services.convergence import Deployed, NotConverged
from labgen.services.view import View, look

HYPOTHESIS = "All services run as they should."
RETRY = 3.0  # seconds between two attempts to find a manager


def deploy(
    name: str, source: str, called: str, shell: Mapping[str, str], progress: Progress, *, limit: float | None
) -> View:
    """Deploys a stack, and waits until its services run as they should.

    :param source: a stack's name, or a compose file. :param called: the stack's name here; empty: the file's.
    :param shell: the variables that the file may use. :param limit: seconds; None: does not wait.
    :return: its services; as they were at the beginning if nobody waited.
    :raises StackError: the compose file is not valid. :raises UsageError: there is no such lab, stack or file.
    :raises ClusterError: something is missing, Docker refuses, or the services do not run as they should.
    :raises GuestError: a node does not answer.
    """
    compose = stacks.read(stacks.find(source), shell)
    stack = stacks.name_of(compose.path, called, compose.name)
    if compose.unset:
        progress.note(f"variables that are not set are empty: {', '.join(compose.unset)}")
    with opened(name, progress, finished=True) as lab:
        told, notes = lab.progress, Notebook(name, results.begun("deploy", stack, "", HYPOTHESIS), lab.progress)
        running = cluster.running_members(lab.plan, lab.hypervisor)
        with notes.concluded(), cluster.managed(lab.plan, running) as there:
            notes.did("deploying the compose file", f"docker stack deploy -c {compose.path.name} {stack}")
            before = frozenset(task.id for task in there.engine.services.tasks())
            deployment.create(compose, stack, there, lab.progress)
            inspection.keep(notes, there)
            view = look(there.engine, stack)
    follow(name, f"labgen deploy {stack}", progress)  # a service's port answers on all nodes before its tasks run
    if limit is None:
        notes.end("detached")
        return view
    services = frozenset(f"{stack}_{service.name}" for service in compose.services)
    with notes.concluded():
        try:
            view = _converged(name, Deployed(stack, services, before), told, limit)
        except NotConverged as error:
            notes.check(HYPOTHESIS, False, error.details)
            error.resolution = f"Correct it and deploy again, or: labgen stack remove {name} {stack}"
            raise
    _conclude(notes, view, stack)
    follow(name, f"labgen deploy {stack}", progress)  # for balancers that send requests to the tasks themselves
    return view


def _conclude(notes: Notebook, view: View, stack: str) -> None:
    """Keeps what runs."""
    notes.number("deployed after", notes.now())
    total = Counter[str]()
    for service in view.services:
        total.update(view.spread(service))
        places = ", ".join(f"{node} {count}" for node, count in view.spread(service).items())
        text = f"{cluster.short(service.name, stack)}: {view.done(service)} of {view.wanted(service)} tasks run"
        notes.check(text, view.has_converged(service), places)
    notes.tasks("after", total)
    notes.running(view.placed())
    notes.end("passed")


def _converged(name: str, deployed: Deployed, progress: Progress, limit: float) -> View:
    """Waits without locking the lab: users may switch nodes off meanwhile, and then another manager is asked."""
    deadline = time.monotonic() + limit
    while True:
        try:
            with entered(name) as there:
                return convergence.wait(there, deployed, progress, limit=max(0, deadline - time.monotonic()))
        except NotConverged:
            raise
        except (ClusterError, GuestError) as error:
            if time.monotonic() > deadline:
                raise
            progress.step(f"asking another manager: {error.brief}", stage="converge")
            time.sleep(RETRY)
