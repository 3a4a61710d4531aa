"""``graph``: a lab's machines and what runs on them now, for a picture."""

from collections.abc import Sequence

from labgen.errors import LabgenError
from labgen.lab.status import Status, status
from labgen.orchestrators import ORCHESTRATORS
from labgen.records.inspections import InspectedNetwork, InspectedService
from labgen.report.topology import Machine, Topology, attached, images, published
from labgen.services.cluster import entered
from labgen.services.view import look


def graph(name: str) -> Topology:
    """What libvirt and a manager report. If none answers, it has the machines only, and tells why.

    :raises UsageError: there is no such lab. :raises HostError: libvirt does not answer.
    """
    now = status(name)
    if not ORCHESTRATORS[now.journal.lab.orchestrator].runs_stacks:
        return _topology(now, set(), (), ())
    try:
        with entered(name) as there:
            placed = look(there.engine).placed()
            services, networks = there.engine.services.inspected(), there.engine.services.inspected_networks()
    except LabgenError as error:
        return _topology(now, set(), (), (), partial=f"{error.brief}\n{error.details}".strip())
    return _topology(now, placed, services, networks)


def _topology(
    now: Status,
    placed: set[tuple[str, str, str]],
    services: Sequence[InspectedService],
    networks: Sequence[InspectedNetwork],
    partial: str = "",
) -> Topology:
    lab = now.journal.lab
    machines = []
    for node in lab.nodes:
        member = now.members.get(node.name)
        machines.append(
            Machine(
                node.name,
                node.kind,
                node.role,
                node.address,
                ", ".join([now.states[node.name], *(["unplugged"] if node.name in now.down else [])]),
                ", ".join(filter(None, (member.state, member.availability))) if member else "",
                bool(member and member.leader),
                tuple(sorted(task for _, task, place in placed if place == node.name)),
            )
        )
    return Topology(
        lab.name,
        lab.network.subnet,
        lab.network.gateway,
        tuple(machines),
        attached(networks, services),
        published(services),
        images(services),
        partial,
    )
