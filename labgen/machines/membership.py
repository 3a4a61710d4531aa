"""What a lab's cluster says of its nodes."""

from collections.abc import Mapping

from labgen.errors import LabgenError
from labgen.model import Lab
from labgen.orchestrators import ORCHESTRATORS
from labgen.orchestrators.base import Membership

ANSWER_LIMIT = 10  # seconds for a manager to say how the cluster is


def members(lab: Lab, states: Mapping[str, str]) -> dict[str, Membership]:
    """What the first node that knows says, by node name; nothing if none does.

    :param states: of the machines that can be reached, by node name.
    """
    from labgen import ssh  # noqa: PLC0415 - paramiko takes long to load, and a lab that is off needs none
    from labgen.machines.access import target  # noqa: PLC0415

    for node in sorted(lab.nodes, key=lambda node: node.role != "manager"):
        if states.get(node.name) == "running":
            try:
                with ssh.Connection.open(target(lab, node), ANSWER_LIMIT) as connection:
                    return ORCHESTRATORS[lab.orchestrator].members(lab, connection)
            except LabgenError:
                continue
    return {}
