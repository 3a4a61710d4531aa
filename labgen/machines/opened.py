"""A lab that is being worked on. The one way in which a verb gets lock, journal, libvirt, clocks and connections."""

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
from labgen.records import journals
from labgen.records.journals import Journal

LOGIN_LIMIT = 60  # seconds for each stage of a login to a machine that is to be changed


@dataclass
class Opened:
    """A lab that nobody else works on.

    :param woken: the nodes that went on when it was opened: an earlier labgen had left them as they were.
    """

    journal: Journal
    host: Host
    hypervisor: Hypervisor
    progress: Progress
    woken: Collection[str] = ()

    @property
    def plan(self) -> Lab:
        """What it is made of."""
        return self.journal.lab

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.plan.nodes

    def states(self) -> dict[str, str]:
        """What libvirt says of the nodes' machines, by node name; nodes without a machine are left out."""
        found = {domain.name: domain.state for domain in self.hypervisor.domains(self.plan.prefix)}
        return {node.name: found[node.domain] for node in self.nodes if node.domain in found}

    def save(self, journal: Journal) -> None:
        journals.save(journal)
        self.journal = journal

    def connect(self, node: Node) -> ssh.Connection:
        """:raises GuestError: the machine does not let us in."""
        return ssh.Connection.open(access.target(self.plan, node), LOGIN_LIMIT)

    def set_clocks(self, nodes: Collection[str]) -> None:
        """Sets the clocks of machines that were away for a while. :param nodes: names.

        :raises GuestError: one does not answer, or refuses.
        """
        clocks.adjust(self.plan, nodes)

    def recover(self) -> set[str]:
        """Puts right what a labgen that was killed left. :return: the nodes that went on; their clocks are behind."""
        return freeze.recover(self.plan, self.hypervisor, self.progress)


class Claim:
    """A lab's name, which nobody else works on: whether there is such a lab or not."""

    def __init__(self, name: str, host: Host, progress: Progress, stack: contextlib.ExitStack) -> None:
        """:param host: which the lab is on, or will be. :param stack: what closes the connection to its libvirt."""
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
        """The lab as it is in a journal, which is saved. Nothing else is touched."""
        journals.save(journal)
        return Opened(journal, self.host, self.hypervisor, self.progress)

    def opened(self, journal: Journal, *, going_off: bool = False) -> Opened:
        """The lab that is there, with what an earlier labgen was killed in put right.

        :param going_off: the machines' clocks do not matter any more.
        :raises LabgenError: as libvirt and the machines do.
        """
        lab = Opened(journal, self.host, self.hypervisor, self.progress)
        lab.woken = lab.recover()
        if lab.woken and journal.complete and not going_off:
            boot.connect(lab.plan, lab.hypervisor, self.progress)
            lab.set_clocks(lab.woken)
        return lab


@contextlib.contextmanager
def claimed(name: str, progress: Progress) -> Iterator[Claim]:
    """For a verb that makes a lab, or removes what there is of one.

    :raises BusyError: somebody else works on it. :raises HostError: the lab may be another data home's.
    """
    with journals.locked(name), contextlib.ExitStack() as stack:
        yield Claim(name, LOCAL, progress.of(name), stack)


@contextlib.contextmanager
def opened(name: str, progress: Progress, *, finished: bool = False, going_off: bool = False) -> Iterator[Opened]:
    """For a verb that changes a lab: what an earlier labgen was killed in is put right first.

    :param finished: only a lab that has run here. :param going_off: the machines' clocks do not matter any more.
    :raises UsageError: there is no such lab, or it has not run here. :raises BusyError: somebody else works on it.
    :raises JournalLost: its journal is lost, and what is there does not say what it was.
    :raises LabgenError: as libvirt and the machines do.
    """
    with claimed(name, progress) as claim:
        journal = recovery.journal(name, claim.host, claim.progress)
        if finished:
            journals.require_finished(journal)
        yield claim.opened(journal, going_off=going_off)


@contextlib.contextmanager
def seen(name: str) -> Iterator[tuple[Journal, Hypervisor]]:
    """For who only looks: nothing is locked, and nothing is put right.

    :raises UsageError: there is no such lab. :raises JournalLost: its journal is lost.
    :raises HostError: libvirt does not answer.
    """
    journal = journals.load(name)
    with LOCAL.connect() as hypervisor:
        yield journal, hypervisor


@contextlib.contextmanager
def failure_noted(name: str) -> Iterator[None]:
    """What ends the making of a lab is written into its journal, as far as the disk takes it."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(LabgenError, OSError):  # the first error is the one to tell
            journal = journals.load(name)
            if not journal.complete:
                journals.save(journal.failed(_in_words(error)))
        raise


def _in_words(error: BaseException) -> str:
    if isinstance(error, LabgenError):
        return error.brief
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
