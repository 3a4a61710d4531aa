"""``create``: from a profile to a running lab, or from a half-made or damaged one to a running one."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from labgen import boxes, paths, ssh, vagrant
from labgen.errors import LabgenError
from labgen.files import read_text
from labgen.host import accelerator
from labgen.hypervisor import Hypervisor
from labgen.lab import doctor
from labgen.lab.destroy import destroy_locked
from labgen.machines import boot, clocks, freeze, health, parts, planning, recovery, warm
from labgen.machines.access import entered
from labgen.machines.provision import inspect, provision, start_docker
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.parallel import on_each
from labgen.plan import HOSTS
from labgen.profile import Loaded, parse
from labgen.progress import Progress
from labgen.records import data_home, journals, registry
from labgen.records.journals import Journal, NodeFacts, Origin
from labgen.render import vagrantfile, write


@dataclass(frozen=True)
class Outcome:
    """:param changed: whether anything had to be done."""

    journal: Journal
    changed: bool


def create(loaded: Loaded, name: str, progress: Progress, *, rollback: bool = False, cold: bool = False) -> Outcome:
    """Makes the lab, goes on with one that is half-made, or checks and repairs one that is there.

    :param rollback: after a failure remove what was made; otherwise keep it, to look at and to go on with.
    :param cold: boot the machines even where there is a template, and leave none.
    :raises LabgenError: as each stage does.
    """
    with journals.locked(name):
        planning.refuse_another_profile(loaded, name)
        new = not journals.exists(name)
        if new:
            recovery.refuse_lost(name)
        try:
            if not new and journals.load(name).complete:
                return repair(journals.load(name), progress)
            return _make(loaded, name, progress, cold)
        except BaseException as error:
            note_failure(name, error)
            if rollback and new:
                progress.step("removing what was made")
                destroy_locked(name)
            raise


def repair(journal: Journal, progress: Progress, *, new_cluster: bool = False) -> Outcome:
    """Starts what is off in a lab that was complete before, and sees that the cluster is whole again.

    :param new_cluster: the user has given up what the cluster holds.
    :raises HypervisorError: part of a machine is gone. :raises ClusterError: the cluster is not as it should be.
    """
    with Hypervisor.connect() as hypervisor:
        return _run(journal, hypervisor, progress, new_cluster=new_cluster)


def go_on(journal: Journal, progress: Progress) -> Outcome:
    """Makes the machines of a lab that has its files and nothing else yet. For a caller that holds its lock."""
    lab = journal.lab
    profile = parse(read_text(paths.lab(lab.name) / paths.PROFILE), lab.profile).profile
    doctor.require_ready(profile)
    box = boxes.ensure(lab.box.name, progress)
    if box.version != lab.box.version:
        progress.note(f"the lab was made with {lab.box.name} {lab.box.version}; this host has {box.version}")
        lab = replace(lab, box=replace(lab.box, version=box.version))
        write({paths.VAGRANTFILE: vagrantfile(lab)}, paths.lab(lab.name))
        journal = _saved(replace(journal, lab=lab))
    with Hypervisor.connect() as hypervisor:
        _add_box(box, progress)
        return _run(journal, hypervisor, progress, cold=bool(journal.request and journal.request.cold))


def _make(loaded: Loaded, name: str, progress: Progress, cold: bool) -> Outcome:
    doctor.require_ready(loaded.profile)
    box = boxes.ensure(loaded.profile.box, progress)
    with Hypervisor.connect() as hypervisor:
        journal = _planned(loaded, name, box, hypervisor, progress, cold=cold)
        journal = _rendered(journal, loaded)
        _add_box(box, progress)
        return _run(journal, hypervisor, progress, cold=cold)


def _run(
    journal: Journal, hypervisor: Hypervisor, progress: Progress, *, cold: bool = False, new_cluster: bool = False
) -> Outcome:
    """From files on disk to a checked cluster; what is there already is only looked at."""
    lab = journal.lab
    hypervisor.pool.ensure()
    reconnected = boot.connect(lab, hypervisor, progress)
    if journal.complete:
        parts.require_whole(lab, hypervisor)
        parts.rewrite_records(lab, hypervisor, progress)
        new = set(journal.rebuilding)
    else:
        new = {node.name for node in boot.clear_half_made(lab, hypervisor)}
    behind = freeze.recover(lab, hypervisor, progress) - new
    arrived = journal.origin is not None
    if journal.origin and journal.origin.memory:
        journal = _gone_on(journal, journal.origin, hypervisor, progress)
    ssh.forget_hosts(paths.lab(lab.name) / paths.KNOWN_HOSTS, {lab.node(name).address for name in new})
    afresh = not cold and not journal.complete and len(new) == len(lab.nodes)
    awake = afresh and warm.awaken(lab, hypervisor, progress)
    started = boot.start(lab, hypervisor, progress)
    behind |= {name for name, was in started.items() if was == "suspended"}
    if behind:
        progress.step("setting the clocks")
        clocks.adjust(lab, behind)
    lived_in = {node.name for node in lab.nodes if journal.complete} - new
    prepared = {node.name for node in lab.nodes if awake}
    with contextlib.ExitStack() as stack:
        boots = bool(new) and not awake and not journal.complete
        booting = stack.enter_context(boot.Boot(lab, progress)) if boots else None
        preparation = _Preparation(lab, lived_in, prepared, booting, progress)
        connect = {node.name: partial(preparation.ready, node) for node in lab.nodes}
        connections = stack.enter_context(entered(connect))
        journal = _saved(journal.reached("provisioned") if not journal.complete else journal)
        if afresh and not awake:
            warm.keep(lab, hypervisor, progress)
        mended = journal.complete and health.set_clocks(lab, connections, progress)
        empty = {node.name for node in lab.nodes} if new_cluster or _holds_nothing(journal) else new
        journal, changed = _clustered(journal, connections, empty, progress)
        if booting:
            progress.step("waiting for Vagrant to finish")
            booting.wait()
        if journal.complete:
            health.tell(lab, connections, progress)
    journal = _saved(replace(journal.reached("verified"), facts=preparation.facts, rebuilding=frozenset()))
    done = (reconnected, started, new, behind, preparation.provisioned)
    return Outcome(journal, changed or arrived or mended or any(done))


def _holds_nothing(journal: Journal) -> bool:
    """Whether the lab's cluster is to be formed of all nodes, whatever they are part of now."""
    moved = journal.origin is not None and journal.origin.readdressed
    managers = {node.name for node in journal.lab.managers}
    return not journal.complete or moved or (bool(managers) and managers <= journal.rebuilding)


def _clustered(
    journal: Journal, connections: Mapping[str, ssh.Connection], empty: Collection[str], progress: Progress
) -> tuple[Journal, bool]:
    """Forms or checks the cluster. :return: also whether anything had to be done.

    :param empty: the nodes that have nothing to lose in a cluster.
    """
    lab, origin = journal.lab, journal.origin
    orchestrator = ORCHESTRATORS[lab.orchestrator]
    if origin and origin.readdressed:
        on_each(connections, partial(_tell_addresses, lab, progress))
        orchestrator.move(lab, connections, progress)
    progress.step("checking the cluster" if journal.complete else "forming the cluster")
    changed = orchestrator.form(lab, connections, progress, empty=empty)
    if origin and origin.renew:
        progress.step("renewing the join tokens")
        orchestrator.renew_secrets(lab, connections)
    journal = replace(journal, origin=None)
    return _saved(journal.reached("clustered") if not journal.complete else journal), changed


def _gone_on(journal: Journal, origin: Origin, hypervisor: Hypervisor, progress: Progress) -> Journal:
    """Lets imported machines go on with the memory that came along; they are off afterwards if they cannot."""
    lab = journal.lab
    if origin.memory == "taken":
        progress.note("going on with the machines' memory was cut off: they boot from their disks")
        for node in lab.nodes:
            hypervisor.cut_power(node.domain)
    else:
        # Memory belongs to the disks of its moment: once a machine has run with it, it is worthless.
        journal = _saved(replace(journal, origin=replace(origin, memory="taken")))
        progress.step("going on with the machines' memory")
        try:
            warm.go_on(
                lab, {node.name: freeze.memory_volume(node, freeze.RECEIVED) for node in lab.nodes}, hypervisor
            )
        except LabgenError as error:
            progress.note(f"the machines cannot go on with their memory: {error.brief}\n{error.details}".strip())
            progress.note("They boot from their disks.")
    freeze.drop_memory(lab, freeze.RECEIVED, hypervisor)
    return _saved(replace(journal, origin=replace(origin, memory="")))


@dataclass
class _Preparation:
    """Enters nodes and prepares them, unless Docker already runs there as it should.

    :param lived_in: the nodes that a user may have changed: nothing is set up there again.
    :param prepared: the nodes that have been prepared, as far as is known. :param facts: what was found, by node.
    :param provisioned: the nodes that had to be prepared.
    """

    lab: Lab
    lived_in: set[str]
    prepared: set[str]
    booting: boot.Boot | None
    progress: Progress
    facts: dict[str, NodeFacts] = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)

    def ready(self, node: Node) -> ssh.Connection:
        connection = boot.enter(self.lab, node, self.progress, self.booting)
        looked_at = self.lived_in | self.prepared
        found = _inspected(self.lab, node, connection) if node.name in looked_at else None
        if found is None:
            if node.name in self.lived_in:
                start_docker(node, connection, self.progress)
            else:
                provision(self.lab, node, connection, self.progress)
            self.provisioned.add(node.name)
            found = inspect(self.lab, node, connection)
        self.facts[node.name] = found
        self.progress.done("ready", node.name)
        return connection


def _tell_addresses(lab: Lab, progress: Progress, connection: ssh.Connection) -> None:
    node = lab.node(connection.target.name)
    provision(lab, node, connection, progress, [step for step in node.steps if step.script == HOSTS])


def _inspected(lab: Lab, node: Node, connection: ssh.Connection) -> NodeFacts | None:
    """None: Docker does not run on the node as it should."""
    try:
        return inspect(lab, node, connection)
    except LabgenError:
        return None


def _planned(
    loaded: Loaded, name: str, box: boxes.Box, hypervisor: Hypervisor, progress: Progress, *, cold: bool
) -> Journal:
    request = planning.request(loaded, cold=cold)
    if journals.exists(name):
        progress.note(f"{name} was not finished; going on with it")
        return _saved(replace(journals.load(name), request=request))
    host = accelerator.probe(progress)
    if host.kind == "tcg":
        progress.note(f"{host.reason}: the machines run in software emulation, which is much slower")
    with registry.locked():
        known = registry.load()
        subnet = known.subnets.get(name)
        if subnet is None:
            choice = planning.choose_subnet(loaded, known.subnets, hypervisor.networks())
            if choice.note:
                progress.note(choice.note)
            subnet = choice.subnet
        paths.lab(name).mkdir(parents=True, exist_ok=True)  # where that is refused, nothing is reserved either
        registry.save(known.with_lab(name, subnet))
    return _saved(
        Journal(planning.decide(loaded, name, subnet, host.kind, box, owner=data_home.owner()), request=request)
    )


def _rendered(journal: Journal, loaded: Loaded) -> Journal:
    lab = journal.lab
    directory = paths.lab(lab.name)
    write(planning.files(loaded, lab, directory), directory)
    (directory / paths.LOGS).mkdir(exist_ok=True)
    ssh.make_key(directory / paths.KEY, f"labgen {lab.name}")
    return _saved(journal.reached("rendered"))


def _add_box(box: boxes.Box, progress: Progress) -> None:
    if not vagrant.has_box(box.vagrant_name, box.version):
        progress.step(f"adding the box {box.name} {box.version} to Vagrant")
        vagrant.add_box(box.catalog)


def _saved(journal: Journal) -> Journal:
    journals.save(journal)
    return journal


def note_failure(name: str, error: BaseException) -> None:
    """Best effort: the disk may be full, and the first error is the one to tell."""
    with contextlib.suppress(LabgenError, OSError):
        journal = journals.load(name)
        if not journal.complete:
            journals.save(journal.failed(_in_words(error)))


def _in_words(error: BaseException) -> str:
    if isinstance(error, LabgenError):
        return error.brief
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
