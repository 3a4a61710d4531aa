"""The running cluster of a lab, reached through one of its managers."""

import contextlib
from collections.abc import Iterator, Mapping

from labgen import engine, ssh
from labgen.engine import Engine, SwarmNode
from labgen.errors import ClusterError, GuestError, LabgenError, UsageError
from labgen.hypervisor import Hypervisor
from labgen.machines import access
from labgen.machines.seen import seen
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS


class Cluster:
    """:ivar manager: the connection to the manager. :ivar engine: its Docker.

    :ivar running: the members whose machines run and have their links up, by name.
    """

    def __init__(
        self,
        lab: Lab,
        running: Mapping[str, Node],
        manager: ssh.Connection,
        docker: Engine,
        stack: contextlib.ExitStack,
    ) -> None:
        """:param stack: closes what is opened later."""
        self.lab, self.running, self.manager, self.engine = lab, running, manager, docker
        self._stack = stack
        self._connections = {manager.target.name: manager}
        self._engines = {manager.target.name: docker}

    def connection(self, node: str) -> ssh.Connection:
        """To a running member, kept open until the end. :raises GuestError: it does not answer."""
        if node not in self._connections:
            opened = ssh.Connection.open(access.target(self.lab, self.running[node]), access.LOGIN_LIMIT)
            self._connections[node] = self._stack.enter_context(opened)
        return self._connections[node]

    def engine_of(self, node: str) -> Engine:
        """The Docker of a running member. :raises GuestError: its machine does not answer."""
        if node not in self._engines:
            self._engines[node] = self._stack.enter_context(engine.connect(self.connection(node)))
        return self._engines[node]

    def nodes(self) -> list[SwarmNode]:
        return sorted(self.engine.swarm_nodes(), key=lambda node: node.hostname)


def running_members(lab: Lab, hypervisor: Hypervisor) -> dict[str, Node]:
    """The members of a lab's cluster whose machines run, by name; those that are meant to manage it come first.

    Without those that are cut off on purpose: nothing can be brought to them, and the cluster gives them no tasks.
    """
    on = {domain.name for domain in hypervisor.domains(lab.prefix) if domain.state == "running"}
    on -= hypervisor.links.down(lab.prefix, lab.network)
    members = sorted(lab.members, key=lambda node: node.role != "manager")
    return {node.name: node for node in members if node.domain in on}


@contextlib.contextmanager
def entered(name: str) -> Iterator[Cluster]:
    """The cluster of a lab that is only looked at, and not locked.

    :raises UsageError: there is no such lab, or it has no cluster that runs stacks.
    :raises GuestError: no machine runs. :raises ClusterError: no manager answers.
    """
    with seen(name) as (journal, hypervisor):
        lab, running = journal.lab, running_members(journal.lab, hypervisor)
    with managed(lab, running) as there:
        yield there


@contextlib.contextmanager
def managed(lab: Lab, running: Mapping[str, Node]) -> Iterator[Cluster]:
    """:param running: see :func:`running_members`.

    :raises UsageError: the lab has no cluster that runs stacks.
    :raises GuestError: no machine runs. :raises ClusterError: no manager answers.
    """
    if not ORCHESTRATORS[lab.orchestrator].runs_stacks:
        raise UsageError(f"{lab.name!r} has no cluster that runs stacks: its orchestrator is {lab.orchestrator}")
    if not running:
        raise GuestError(
            f"the lab {lab.name!r} cannot be reached",
            "its machines are off, or their links are down",
            f"labgen status {lab.name}; labgen start {lab.name}",
        )
    with contextlib.ExitStack() as stack:
        manager, docker = _manager(lab, running, stack)
        yield Cluster(lab, running, manager, docker, stack)


def _manager(lab: Lab, running: Mapping[str, Node], stack: contextlib.ExitStack) -> tuple[ssh.Connection, Engine]:
    """The first that answers; workers are asked last: a user may have promoted one."""
    answers = []
    for name, node in running.items():
        try:
            with contextlib.ExitStack() as unless_it_manages:
                opened = ssh.Connection.open(access.target(lab, node), access.LOGIN_LIMIT)
                connection = unless_it_manages.enter_context(opened)
                docker = unless_it_manages.enter_context(engine.connect(connection))
                if docker.info().is_manager:
                    docker.swarm_nodes()  # fails if there is no leader
                    stack.enter_context(unless_it_manages.pop_all())
                    return connection, docker
            answers.append(f"{name}: is not a manager")
        except LabgenError as error:
            answers.append(f"{name}: {error.details or error.brief}")
    answers += [f"{node.name}: is off, or its link is down" for node in lab.members if node.name not in running]
    raise ClusterError(
        f"no manager of {lab.name!r} answers",
        "\n".join(answers),
        f"labgen status {lab.name}; labgen start {lab.name}",
    )


def short(service: str, stack: str) -> str:
    """A service's name in its compose file."""
    return service.removeprefix(f"{stack}_") if stack else service
