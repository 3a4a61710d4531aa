"""Changes that a command makes in a lab for a while: written down before, put back by it, or by the next command."""

from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import replace

from labgen.errors import ClusterError, GuestError, HypervisorError, LabgenError
from labgen.machines import balancing, power, rejoining
from labgen.machines.opened import Opened
from labgen.orchestrators import ORCHESTRATORS
from labgen.records import changes
from labgen.records.changes import Change, Changes

IN_CLUSTER = {"availability", "service", "extra", "network", "autolock"}


class Temporary:
    """:param command: that makes the changes, for users."""

    def __init__(self, lab: Opened, command: str) -> None:
        self._lab, self._command = lab, command

    def about_to(self, change: Change) -> None:
        """Writes down what will have to be put back, besides what is written down already; called before the change.

        Of several changes of the same thing the first one counts: it knows how it was before all of them.
        """
        name = self._lab.plan.name
        left = changes.load(name) or Changes(self._command)
        known = {(each.what, each.name): each for each in left.made}
        if (former := known.get((change.what, change.name))) is None or not former.former:
            made = {**known, (change.what, change.name): change}
            changes.save(name, replace(left, made=tuple(made.values())))


def put_back(lab: Opened) -> None:
    """Puts back what is written down for a lab, and forgets it.

    :raises LabgenError: something cannot be put back; all stays written down.
    """
    if not (left := changes.load(lab.plan.name)):
        return
    nodes = {node.name: node for node in lab.nodes}
    of_nodes = [each for each in left.made if each.name in nodes]
    survivors = {each.name: each.former for each in of_nodes if each.what == "rejoin" and each.former in nodes}
    for change in of_nodes:
        if change.what == "link":
            lab.progress.step("plugging the network in again", change.name, stage="put-back")
            lab.hypervisor.links.set(nodes[change.name].domain, lab.plan.network, up=True)
        elif change.what == "autolock" and change.former:
            with lab.connect(nodes[change.name]) as connection:
                ORCHESTRATORS[lab.plan.orchestrator].unlock(connection, change.former)
    off = dict.fromkeys(each.name for each in of_nodes if each.what == "power" and each.name not in survivors)
    power.switch_on(lab, [nodes[name] for name in off])
    if survivors:
        rejoining.rejoin(lab, survivors.keys(), next(iter(survivors.values())))
    if in_cluster := [each for each in reversed(left.made) if each.what in IN_CLUSTER]:
        _put_back_in_cluster(lab, in_cluster)
    if drained := [each.name for each in of_nodes if each.what == "balancer-drain"]:
        _undrain(lab, drained, left.command)
    changes.drop(lab.plan.name)


def put_back_left(lab: Opened) -> None:
    """The same, for a command that only comes across what a killed one has left: it goes on in any case."""
    if not (left := changes.load(lab.plan.name)) or "running" not in lab.states().values():
        return
    lab.progress.step(f"putting back what an interrupted '{left.command}' has changed", stage="put-back")
    try:
        put_back(lab)
    except (ClusterError, GuestError, HypervisorError) as error:
        lab.progress.note(f"not put back yet: {error.brief}\n{error.details}".strip())
        return
    lab.progress.note(f"an interrupted '{left.command}' had changed {_in_words(left.made)}: put back")


def _put_back_in_cluster(lab: Opened, left: Collection[Change]) -> None:
    """:raises ClusterError: no manager can do it."""
    lab.progress.step("setting the cluster back", stage="put-back")
    states, answers = lab.states(), []
    for node in sorted(lab.plan.members, key=lambda node: node.role != "manager"):
        if states.get(node.name) != "running":
            continue
        try:
            with lab.connect(node) as connection:
                ORCHESTRATORS[lab.plan.orchestrator].put_back(connection, tuple(left))
            return
        except LabgenError as error:
            answers.append(f"{node.name}: {error.details or error.brief}")
    raise ClusterError(f"no manager of {lab.plan.name!r} can put back what was changed", "\n".join(answers))


def _undrain(lab: Opened, drained: Collection[str], why: str) -> None:
    """The load balancers give nodes new clients again. A balancer that does not answer gets to know it later.

    :param drained: the nodes' names. :param why: the command that had drained them.
    :raises ClusterError: no manager answers, so that nobody knows the backends. :raises GuestError: no balancer does.
    """
    lab.progress.step("giving backends new clients again", stage="put-back")
    for name in drained:
        balancing.drain(lab.plan, name, draining=False)
    states = lab.states()
    with ExitStack() as stack:
        members = {}
        for node in lab.plan.members:
            if states.get(node.name) == "running":
                with suppress(LabgenError):  # any manager will do
                    members[node.name] = stack.enter_context(lab.connect(node))
        docker = stack.enter_context(balancing.managing(members))
        if docker is None:
            raise ClusterError(f"no manager of {lab.plan.name!r} says which backends the load balancers have to get")
        connections = stack.enter_context(balancing.entered(lab.plan, lab.progress.note))
        balancing.configure(lab.plan, balancing.look(lab.plan, docker), connections, why, lab.progress)


def _in_words(made: Collection[Change]) -> str:
    words = {"power": "the power of", "link": "the network of", "availability": "the availability of"}
    words["balancer-drain"] = "the load balancers' clients of"
    return ", ".join(dict.fromkeys(f"{words.get(each.what, '')} {each.name}".strip() for each in made))
