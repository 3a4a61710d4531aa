"""``balance``: a lab's load balancers follow its nodes and services."""

from collections.abc import Mapping, Sequence

from labgen import ssh
from labgen.errors import ClusterError, LabgenError, UsageError
from labgen.machines import access, balancing
from labgen.machines.balancing import Outcome, State
from labgen.machines.opened import Opened, opened
from labgen.machines.republishing import keep, republished
from labgen.model import Lab
from labgen.profile import Loaded
from labgen.progress import Progress
from labgen.records import journals
from labgen.services import cluster
from labgen.services.cluster import Cluster, entered


def balance(
    name: str,
    progress: Progress,
    *,
    drain: Sequence[str] = (),
    undrain: Sequence[str] = (),
    profile: Loaded | None = None,
) -> list[State]:
    """Gives the load balancers of a lab the backends that there are now.

    :param profile: what they publish from now on; None: as before.
    :param drain: the nodes that get no new clients from now on. :param undrain: those that get some again.
    :return: the balancers afterwards.
    :raises UsageError: there is no such lab or node, or it has no load balancer.
    :raises ClusterError: no manager answers, or a route leads nowhere; the other routes are in use.
    :raises GuestError: a machine does not answer, or its program does not accept the configuration.
    """
    with opened(name, progress, finished=True) as lab:
        _require_balancers(lab.plan)
        for node in (*drain, *undrain):
            if not access.find_node(lab.plan, node).is_member:
                raise UsageError(f"{node} is not a member of the cluster: no balancer sends requests there")
        for node in (*drain, *undrain):
            balancing.drain(lab.plan, node, draining=node in drain)
        running = cluster.running_members(lab.plan, lab.hypervisor)
        plan = republished(lab.plan, profile) if profile else lab.plan
        with cluster.managed(plan, running) as there, balancing.entered(plan, lab.progress.note) as connections:
            outcome = _configured(lab, plan, there, connections, "labgen balance")
            if profile:
                keep(lab, plan, profile)
            if outcome.complaints:
                raise _nowhere(outcome, there, name)
            return balancing.states(plan, balancing.look(plan, there.engine), connections)


def show(name: str, progress: Progress) -> list[State]:
    """The load balancers as they are now. :raises LabgenError: as :func:`balance`."""
    lab = journals.load_finished(name).lab
    _require_balancers(lab)
    with entered(name) as there, balancing.entered(lab, progress.note) as connections:
        return balancing.states(lab, balancing.look(lab, there.engine), connections)


def follow(name: str, why: str, progress: Progress) -> None:
    """After a command that has changed nodes or services. What cannot be done is noted, and fails nothing.

    :param why: the command.
    """
    try:
        if not journals.load_finished(name).lab.balancers:
            return
    except LabgenError:  # the command itself has said so
        return
    try:
        with opened(name, progress, finished=True) as lab:
            running = cluster.running_members(lab.plan, lab.hypervisor)
            with (
                cluster.managed(lab.plan, running) as there,
                balancing.entered(lab.plan, lab.progress.note) as connections,
            ):
                outcome = _configured(lab, lab.plan, there, connections, why)
                for balancer, complaints in outcome.complaints.items():
                    for complaint in complaints:
                        lab.progress.note(f"{balancer}: {complaint}")
    except LabgenError as error:
        progress.of(name).note(f"the load balancers are as they were: {error.brief}; later: labgen balance {name}")


def _configured(
    lab: Opened, plan: Lab, there: Cluster, connections: Mapping[str, ssh.Connection], why: str
) -> Outcome:
    return balancing.configure(plan, balancing.look(plan, there.engine), connections, why, lab.progress)


def _nowhere(outcome: Outcome, there: Cluster, name: str) -> ClusterError:
    lines = [f"{balancer}: {each}" for balancer, complaints in outcome.complaints.items() for each in complaints]
    names = ", ".join(each.name for each in there.engine.services.listed()) or "none"
    return ClusterError(
        f"routes of the load balancers of {name!r} lead nowhere",
        "\n".join([*lines, f"services: {names}"]),
        "The other routes are in use. Deploy what is missing (labgen deploy), or change the profile.",
    )


def _require_balancers(lab: Lab) -> None:
    """:raises UsageError: it has none."""
    if not lab.balancers:
        raise UsageError(
            f"{lab.name!r} has no load balancer",
            resolution="A profile with 'kind: balancer' has one: labgen create three-node-balancer",
        )
