"""Preparing a lab's machines, each as soon as it can be entered and only if no user has used it yet."""

from collections.abc import Collection
from dataclasses import dataclass, field

from labgen import ssh
from labgen.errors import LabgenError
from labgen.host import Host
from labgen.kinds import KINDS
from labgen.machines import boot
from labgen.machines.provision import provision
from labgen.model import Lab, Node, NodeFacts
from labgen.plan import HOSTS
from labgen.progress import Progress


@dataclass
class Preparation:
    """Enters nodes and prepares them, unless they already are as they should be.

    :param lived_in: the nodes that a user may have changed: they are not set up again.
    :param prepared: the nodes known to be prepared. :param booting: the boot in progress, if they are new.
    :param facts: the findings, by node. :param provisioned: the nodes that had to be prepared.
    """

    lab: Lab
    host: Host
    lived_in: Collection[str]
    prepared: Collection[str]
    booting: boot.Boot | None
    progress: Progress
    facts: dict[str, NodeFacts] = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)

    def ready(self, node: Node) -> ssh.Connection:
        kind = KINDS[node.kind]
        connection = boot.enter(self.lab, node, self.host, self.progress, self.booting)
        found = _inspected(self.lab, node, connection) if node.name in self.prepared else None
        if found is None:
            if node.name in self.lived_in:
                kind.start(node, connection, self.progress)
            else:
                provision(self.lab, node, connection, self.progress)
            self.provisioned.add(node.name)
            found = kind.inspect(self.lab, node, connection)
        self.facts[node.name] = found
        self.progress.done("ready", node.name, stage="ready")
        return connection


def tell_addresses(lab: Lab, progress: Progress, connection: ssh.Connection) -> None:
    node = lab.node(connection.target.name)
    provision(lab, node, connection, progress, [step for step in node.steps if step.script == HOSTS])


def _inspected(lab: Lab, node: Node, connection: ssh.Connection) -> NodeFacts | None:
    """None: the node is not in the expected state."""
    try:
        return KINDS[node.kind].inspect(lab, node, connection)
    except LabgenError:
        return None
