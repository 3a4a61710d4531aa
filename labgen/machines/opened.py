"""A lab that is being worked on: the only way for a verb to get lock, journal, libvirt, clocks and connections."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from labgen import ssh
from labgen.errors import LabgenError
from labgen.host import LOCAL, Host
from labgen.hypervisor import Hypervisor
from labgen.machines import access, boot, clocks, freeze, recovery
from labgen.model import Lab, Node
from labgen.progress import Progress
from labgen.records import changes, journals
from labgen.records.journals import Journal

LOGIN_LIMIT = 60  # seconds for each stage of a login to a machine that is about to be changed


@dataclass
class Opened:
    """A lab that no other process works on.

    :param woken: the nodes that were resumed when it was opened: an interrupted labgen process had left them paused.
    """

    journal: Journal
    host: Host
    hypervisor: Hypervisor
    progress: Progress
    woken: Collection[str] = ()

    @property
    def plan(self) -> Lab:
        """The plan of the lab."""
        return self.journal.lab

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.plan.nodes

    def states(self) -> dict[str, str]:
        """The states of the nodes' machines in libvirt, by node name; nodes without a machine are left out."""
        found = {domain.name: domain.state for domain in self.hypervisor.domains(self.plan.prefix)}
        return {node.name: found[node.domain] for node in self.nodes if node.domain in found}

    def save(self, journal: Journal) -> None:
        journals.save(journal)
        self.journal = journal

    def connect(self, node: Node) -> ssh.Connection:
        """:raises GuestError: the login to the machine fails."""
        if node.name in self.with_link_down():
            raise access.link_down(self.plan, [node.name])
        return ssh.Connection.open(access.target(self.plan, node), LOGIN_LIMIT)

    def with_link_down(self) -> set[str]:
        """The nodes whose links are down: someone unplugged them on purpose, and they cannot be entered."""
        return access.with_link_down(self.plan, self.hypervisor)

    def set_clocks(self, nodes: Collection[str]) -> None:
        """Sets the clocks of machines that were off or paused, except for those that cannot be entered.

        :param nodes: names. :raises GuestError: one does not answer, or refuses.
        """
        down = self.with_link_down().intersection(nodes)
        for name in sorted(down):
            way = f"{access.up_again(self.plan, name)}; labgen start {self.plan.name}"
            self.progress.note(f"{name}: its clock cannot be set, because its link is down. To set it: {way}")
        clocks.adjust(self.plan, set(nodes) - down)

    def recover(self) -> set[str]:
        """Repairs what a killed labgen process left. :return: the resumed nodes, whose clocks are behind."""
        return freeze.recover(self.plan, self.hypervisor, self.progress)


class Claim:
    """A lab's name, locked for this process, whether such a lab exists or not."""

    def __init__(self, name: str, host: Host, progress: Progress, stack: contextlib.ExitStack) -> None:
        """:param host: the lab's present or future host. :param stack: closes the connection to its libvirt."""
        self.name, self.host, self.progress, self._stack = name, host, progress, stack

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """:raises HostError: libvirt does not answer."""
        return self._stack.enter_context(self.host.connect())

    @property
    def has_journal(self) -> bool:
        return journals.exists(self.name)

    def journal(self) -> Journal:
        """:raises UsageError: there is no such lab. :raises JournalLost: its journal cannot be read."""
        return journals.load(self.name)

    def begun(self, journal: Journal) -> Opened:
        """Saves a journal, and returns its lab. Nothing else is touched."""
        journals.save(journal)
        return Opened(journal, self.host, self.hypervisor, self.progress)

    def opened(self, journal: Journal, *, going_off: bool = False) -> Opened:
        """The existing lab, after repairing what an interrupted labgen process left.

        :param going_off: the machines' clocks no longer matter.
        :raises LabgenError: from libvirt or the machines.
        """
        lab = Opened(journal, self.host, self.hypervisor, self.progress)
        lab.woken = lab.recover()
        if lab.woken and journal.complete and not going_off:
            boot.connect(lab.plan, lab.hypervisor, self.progress)
            lab.set_clocks(lab.woken)
        if not going_off and changes.load(self.name):
            from labgen.machines import putting_back  # noqa: PLC0415 - it works on opened labs

            putting_back.put_back_left(lab)
        return lab


@contextlib.contextmanager
def claimed(name: str, progress: Progress) -> Iterator[Claim]:
    """For a verb that creates a lab, or removes what exists of one.

    :raises BusyError: another process works on it. :raises HostError: the lab may belong to another data home.
    """
    with journals.locked(name), contextlib.ExitStack() as stack:
        yield Claim(name, LOCAL, progress.of(name), stack)


@contextlib.contextmanager
def opened(name: str, progress: Progress, *, finished: bool = False, going_off: bool = False) -> Iterator[Opened]:
    """For a verb that changes a lab: what an interrupted labgen process left is repaired first.

    :param finished: only a lab that has run here. :param going_off: the machines' clocks no longer matter.
    :raises UsageError: there is no such lab, or it has not run here. :raises BusyError: another process works on it.
    :raises JournalLost: its journal is lost, and cannot be reconstructed from what exists.
    :raises LabgenError: from libvirt or the machines.
    """
    with claimed(name, progress) as claim:
        journal = recovery.journal(name, claim.host, claim.progress)
        if finished:
            journals.require_finished(journal)
        yield claim.opened(journal, going_off=going_off)


@contextlib.contextmanager
def failure_noted(name: str) -> Iterator[None]:
    """Writes an error that ends the creation of a lab into its journal, if the disk permits."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(LabgenError, OSError):  # the first error is the one to report
            journal = journals.load(name)
            if not journal.complete:
                journals.save(journal.failed(_in_words(error)))
        raise


def _in_words(error: BaseException) -> str:
    if isinstance(error, LabgenError):
        return error.brief
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
