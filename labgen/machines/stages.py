"""The stages of a bring-up, in the order of :data:`labgen.machines.bringup.STAGES`, which defines when each runs."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from labgen import paths, ssh
from labgen.errors import LabgenError
from labgen.machines import balancing, boot, freeze, health, image_registry, parts, putting_back, warm
from labgen.machines.access import entered, link_down
from labgen.machines.opened import Opened
from labgen.machines.preparation import Preparation, tell_addresses
from labgen.model import Lab, NodeFacts
from labgen.orchestrators import ORCHESTRATORS, Orchestrator
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records import changes
from labgen.records.journals import Journal


@dataclass
class Bringup:
    """The state that the stages of one bring-up share.

    :param new_cluster: the user has agreed to lose the cluster's contents. :param stack: closed at the end.
    :param new: the nodes without any data yet. :param behind: the nodes that were away: their clocks are wrong.
    :param awake: the machines come from a template. :param changed: whether anything had to be done.
    """

    opened: Opened
    stack: ExitStack
    cold: bool
    new_cluster: bool
    new: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    awake: bool = False
    booting: boot.Boot | None = None
    connections: Mapping[str, ssh.Connection] = field(default_factory=dict)
    facts: dict[str, NodeFacts] = field(default_factory=dict)
    changed: bool = False
    progress: Progress = field(init=False)  # of the current stage

    @property
    def journal(self) -> Journal:
        return self.opened.journal

    @property
    def lab(self) -> Lab:
        return self.opened.plan

    @property
    def orchestrator(self) -> Orchestrator:
        return ORCHESTRATORS[self.lab.orchestrator]

    @property
    def members(self) -> dict[str, ssh.Connection]:
        """Connections to the nodes that are part of the cluster."""
        return {node.name: self.connections[node.name] for node in self.lab.members}

    def was_complete(self) -> bool:
        return self.journal.complete

    def is_half_made(self) -> bool:
        return not self.journal.complete

    def begins_afresh(self) -> bool:
        """Whether nothing of the lab exists yet, so that it may begin with a template, or leave one."""
        return not self.cold and self.is_half_made() and len(self.new) == len(self.lab.nodes)


def connect_network(work: Bringup) -> None:
    work.opened.hypervisor.pool.ensure()
    work.changed |= bool(boot.connect(work.lab, work.opened.hypervisor, work.progress))


def require_whole(work: Bringup) -> None:
    """Parts missing from a lab that was complete are named, not replaced."""
    parts.require_whole(work.lab, work.opened.hypervisor)
    parts.rewrite_records(work.lab, work.opened.hypervisor, work.progress)
    work.new = set(work.journal.rebuilding)


def clear_half_made(work: Bringup) -> None:
    work.new = {node.name for node in boot.clear_half_made(work.lab, work.opened.hypervisor)}


def resume_held(work: Bringup) -> None:
    """Also resumes machines of which a killed labgen process was about to create a template."""
    work.behind = work.opened.recover() - work.new


def has_received_memory(work: Bringup) -> bool:
    return bool(work.journal.origin and work.journal.origin.memory)


def go_on_with_received_memory(work: Bringup) -> None:
    """Resumes imported machines from the memory in the bundle; if that fails, they are off afterwards."""
    origin = work.journal.origin
    assert origin  # noqa: S101 - the stage is not needed otherwise
    if origin.memory == "taken":
        work.progress.note("resuming the machines from memory was interrupted: they boot from their disks")
        for node in work.lab.nodes:
            work.opened.hypervisor.cut_power(node.domain)
    else:
        # Memory belongs to the disks of the same moment: once a machine has run with it, it is worthless.
        work.opened.save(replace(work.journal, origin=replace(origin, memory="taken")))
        work.progress.step("resuming the machines from memory")
        memory = {node.name: freeze.memory_volume(node, freeze.RECEIVED) for node in work.lab.nodes}
        try:
            warm.go_on(work.lab, memory, work.opened.hypervisor)
        except LabgenError as error:
            work.progress.note(f"the machines cannot be resumed from memory: {error.brief}\n{error.details}".strip())
            work.progress.note("They boot from their disks.")
    freeze.drop_memory(work.lab, freeze.RECEIVED, work.opened.hypervisor)
    work.opened.save(replace(work.journal, origin=replace(origin, memory="")))


def forget_former_keys(work: Bringup) -> None:
    known = paths.lab(work.lab.name) / paths.KNOWN_HOSTS
    ssh.forget_hosts(known, {work.lab.node(name).address for name in work.new})


def awaken_template(work: Bringup) -> None:
    work.awake = warm.awaken(work.lab, work.opened.hypervisor, work.progress)


def switch_on(work: Bringup) -> None:
    started = boot.start(work.lab, work.opened.hypervisor, work.progress)
    work.behind |= {name for name, was in started.items() if was == "suspended"}
    work.changed |= bool(started)


def set_clocks(work: Bringup) -> None:
    work.progress.step("setting the clocks")
    work.opened.set_clocks(work.behind)
    work.changed = True


def require_links(work: Bringup) -> None:
    """A link that is down was set down on purpose: it stays so, and its node cannot be checked."""
    if down := work.opened.with_link_down():
        raise link_down(work.lab, down)


def has_to_boot(work: Bringup) -> bool:
    return bool(work.new) and not work.awake and work.is_half_made()


def begin_boot(work: Bringup) -> None:
    """Boots in the background, until :func:`wait_for_boot`: each node is prepared as soon as it answers."""
    work.booting = work.stack.enter_context(boot.Boot(work.lab, work.progress))


def prepare_nodes(work: Bringup) -> None:
    names = {node.name for node in work.lab.nodes}
    lived_in = names - work.new if work.was_complete() else set()
    prepared = names if work.awake else lived_in
    preparation = Preparation(work.lab, work.opened.host, lived_in, prepared, work.booting, work.progress)
    connect = {node.name: partial(preparation.ready, node) for node in work.lab.nodes}
    work.connections = work.stack.enter_context(entered(connect))
    work.facts = preparation.facts
    work.changed |= bool(work.new or preparation.provisioned)


def is_worth_keeping(work: Bringup) -> bool:
    return work.begins_afresh() and not work.awake


def keep_template(work: Bringup) -> None:
    warm.keep(work.lab, work.opened.hypervisor, work.progress)


def correct_clocks(work: Bringup) -> None:
    work.changed |= health.set_clocks(work.lab, work.connections, work.progress)


def is_readdressed(work: Bringup) -> bool:
    return bool(work.journal.origin and work.journal.origin.readdressed)


def move_cluster(work: Bringup) -> None:
    on_each(work.connections, partial(tell_addresses, work.lab, work.progress))
    work.orchestrator.move(work.lab, work.members, work.progress)


def has_registry(work: Bringup) -> bool:
    return bool(work.lab.registry)


def set_up_registry(work: Bringup) -> None:
    """After the template was made: labs that begin with it must not have the same CA."""
    work.progress.step("checking the image registry" if work.was_complete() else "setting up the image registry")
    renew = has_just_arrived(work)  # the sender has the key on the disks
    work.changed |= image_registry.set_up(work.lab, work.connections, work.progress, renew=renew)


def form_cluster(work: Bringup) -> None:
    work.progress.step("checking the cluster" if work.was_complete() else "forming the cluster")
    empty = {node.name for node in work.lab.nodes} if work.new_cluster or _holds_nothing(work) else work.new
    work.changed |= work.orchestrator.form(work.lab, work.members, work.progress, empty=empty)


def has_balancers(work: Bringup) -> bool:
    return bool(work.lab.balancers)


def set_up_balancers(work: Bringup) -> None:
    """Routes to services that are not there yet lead nowhere until they are deployed."""
    work.progress.step("checking the load balancers" if work.was_complete() else "configuring the load balancers")
    connections = {node.name: work.connections[node.name] for node in work.lab.balancers}
    renew = has_just_arrived(work)  # the sender has the keys on the disks
    why = "labgen start" if work.was_complete() else "labgen create"
    with balancing.managing(work.members) as docker:
        seen = balancing.look(work.lab, docker)
    outcome = balancing.configure(work.lab, seen, connections, why, work.progress, renew=renew)
    work.changed |= bool(outcome.changed)
    for balancer, complaints in outcome.complaints.items():
        for complaint in complaints:
            work.progress.note(f"{balancer}: {complaint}")


def has_the_senders_secrets(work: Bringup) -> bool:
    return bool(work.journal.origin and work.journal.origin.renew)


def renew_secrets(work: Bringup) -> None:
    work.progress.step("renewing the join tokens")
    work.orchestrator.renew_secrets(work.lab, work.members)


def has_just_arrived(work: Bringup) -> bool:
    return work.journal.origin is not None


def arrive(work: Bringup) -> None:
    work.opened.save(replace(work.journal, origin=None))
    work.changed = True


def wait_for_boot(work: Bringup) -> None:
    if work.booting:
        work.progress.step("waiting for Vagrant to finish")
        work.booting.wait()


def has_changes(work: Bringup) -> bool:
    return changes.load(work.lab.name) is not None


def put_back(work: Bringup) -> None:
    """What an interrupted drill has changed, if no machine ran before that could put it back."""
    putting_back.put_back_left(work.opened)
    work.changed = True


def examine(work: Bringup) -> None:
    health.tell(work.lab, work.connections, work.progress)


def note_facts(work: Bringup) -> None:
    work.opened.save(replace(work.journal.reached("verified"), facts=work.facts, rebuilding=frozenset()))


def _holds_nothing(work: Bringup) -> bool:
    """Whether the lab's cluster is to be formed of all nodes, whatever cluster they are part of now."""
    managers = {node.name for node in work.lab.managers}
    return work.is_half_made() or is_readdressed(work) or (bool(managers) and managers <= work.journal.rebuilding)
