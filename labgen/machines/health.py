"""The list of checks applied to a lab's machines: ``status --check`` shows them, ``start`` repairs what is safe."""

from collections.abc import Collection, Mapping, Sequence

from labgen import ssh
from labgen.errors import LabgenError
from labgen.health import CHECKS, CLOCK, Check, Finding, examine
from labgen.machines import clocks
from labgen.machines.access import AS_AFTER, LOGIN_LIMIT, cut_off_evidence, target, up_again
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.progress import Progress


def check(lab: Lab, states: Mapping[str, str], cut_off: Collection[str], down: Collection[str]) -> list[Finding]:
    """Runs every check on every node, in the nodes' order; changes nothing.

    :param states: of the machines, by node name. :param cut_off: the nodes that run without their network.
    :param down: the nodes whose links are down.
    """

    def look(node: Node) -> list[Finding]:
        if states[node.name] != "running":
            return [_machine(lab, node, f"it is {states[node.name]}")]
        if node.name in cut_off:
            return [_machine(lab, node, cut_off_evidence(lab))]
        if node.name in down:
            return [_machine(lab, node, f"its link is down, {AS_AFTER}", up_again(lab, node.name))]
        try:
            with ssh.Connection.open(target(lab, node), LOGIN_LIMIT) as connection:
                return examine(lab, node, connection, CHECKS)
        except LabgenError as error:
            return [_machine(lab, node, error.brief, error.resolution)]

    found = on_each({node.name: node for node in lab.nodes}, look)
    return [finding for node in lab.nodes for finding in found[node.name]]


def set_clocks(lab: Lab, connections: Mapping[str, ssh.Connection], progress: Progress) -> bool:
    """Sets clocks that are wrong, as after a pause by someone else. :return: whether any was wrong.

    Must run before the nodes have to trust each other's certificates.
    """
    wrong = _complaints(lab, connections, [CLOCK])
    for finding in wrong:
        progress.note(f"{finding.node}: its clock was {finding.evidence}; setting it")
    behind = {finding.node: connections[finding.node] for finding in wrong}
    on_each(behind, clocks.set_clock)
    return bool(wrong)


def tell(lab: Lab, connections: Mapping[str, ssh.Connection], progress: Progress) -> None:
    """Notes all problems in machines that are up, and how to fix them."""
    progress.step("checking the machines")
    try:
        complaints = _complaints(lab, connections, CHECKS)
    except LabgenError as error:
        progress.note(f"the machines cannot be checked: {error.brief}")
        return
    for finding in complaints:
        progress.note(f"{finding.node}: {finding.check}: {finding.evidence}. {finding.fix}")


def _complaints(lab: Lab, connections: Mapping[str, ssh.Connection], checks: Sequence[Check]) -> list[Finding]:
    def look(connection: ssh.Connection) -> list[Finding]:
        return examine(lab, lab.node(connection.target.name), connection, checks)

    found = on_each(connections, look)
    return [finding for node in found.values() for finding in node if finding.status != "ok"]


def _machine(lab: Lab, node: Node, evidence: str, way_out: str = "") -> Finding:
    return Finding(node.name, "machine", "fail", evidence, way_out or f"labgen start {lab.name}")
