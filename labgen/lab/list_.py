"""``list``: all labs, without entering any machine."""

from labgen.errors import LabgenError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.machines.states import lab_state, node_states
from labgen.records import journals


def listing() -> list[dict[str, object]]:
    """A row for each lab. :raises HostError: libvirt does not answer."""
    names = journals.names()
    if not names:
        return []
    with LOCAL.connect() as hypervisor:
        return [_row(name, hypervisor) for name in names]


def _row(name: str, hypervisor: Hypervisor) -> dict[str, object]:
    try:
        journal = journals.load(name)
    except LabgenError:
        return {"name": name, "profile": "?", "state": "failed", "nodes": 0, "subnet": "?"}
    lab = journal.lab
    states = node_states(journal, {domain.name: domain for domain in hypervisor.domains(lab.prefix)})
    return {
        "name": name,
        "profile": lab.profile,
        "state": lab_state(journal, states),
        "nodes": len(lab.nodes),
        "subnet": lab.network.subnet,
    }
