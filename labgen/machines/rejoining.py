"""Managers that were lost when the others began a new cluster without them.

They leave the former cluster, and join the new one. Several of them would be a majority of the former one: so each
starts without its network, and gets it back when it has left.
"""

import time
from collections.abc import Collection, Mapping
from functools import partial
from ipaddress import IPv4Network

from labgen.errors import ClusterError, LabgenError
from labgen.machines import agent, power
from labgen.machines.access import entered
from labgen.machines.opened import Opened
from labgen.orchestrators import ORCHESTRATORS
from labgen.parallel import on_each

LEAVE_LIMIT = 600  # seconds until the machine has booted and its Docker has answered; emulated machines are slow
POLL = 3.0  # seconds


def rejoin(lab: Opened, lost: Collection[str], survivor: str) -> None:
    """:param lost: the managers' names. :param survivor: the manager that has the cluster.

    :raises LabgenError: a machine does not boot, does not leave, or does not join.
    """
    orchestrator = ORCHESTRATORS[lab.plan.orchestrator]
    with lab.connect(lab.plan.node(survivor)) as connection:
        orchestrator.regain(lab.plan, connection, lab.progress)
    outside = _outside(lab, lost)
    on_each({name: name for name in outside}, lambda name: _leave(lab, name))
    power.switch_on(lab, [lab.plan.node(name) for name in lost])
    with entered({node.name: partial(lab.connect, node) for node in lab.plan.members}) as connections:
        orchestrator.form(lab.plan, connections, lab.progress, empty=set(lost))


def _outside(lab: Opened, lost: Collection[str]) -> list[str]:
    """Those that have not left yet: they are off, or without their network.

    An earlier attempt may have come further; one that has joined must not leave again: the others need its vote.
    """
    states = lab.states()
    unplugged = lab.hypervisor.links.down(lab.plan.prefix, lab.plan.network)
    return [name for name in lost if states.get(name) != "running" or lab.plan.node(name).domain in unplugged]


def _leave(lab: Opened, name: str) -> None:
    """Starts a machine without its network, if it is off, and lets it leave its cluster. Then it gets its network."""
    node, script = lab.plan.node(name), ORCHESTRATORS[lab.plan.orchestrator].departure
    domain = node.domain
    variables = {"address": f"{node.address}/{IPv4Network(lab.plan.network.subnet).prefixlen}"}
    if lab.states().get(name) == "stopped":
        lab.hypervisor.links.set(domain, lab.plan.network, up=False)
        lab.progress.step("starting without its network", name, stage="rejoin")
        lab.hypervisor.start(domain)
    deadline = time.monotonic() + LEAVE_LIMIT
    while (answer := _answer(lab, domain, script, variables)) != "":
        if time.monotonic() > deadline:
            raise ClusterError(f"{name} does not leave its former cluster", answer)
        lab.progress.step("waiting until it can leave its former cluster", name, stage="rejoin")
        time.sleep(POLL)
    lab.hypervisor.links.set(domain, lab.plan.network, up=True)


def _answer(lab: Opened, domain: str, script: str, variables: Mapping[str, str]) -> str:
    """What a machine says if the script fails; empty: it did not."""
    try:
        result = agent.run(lab.hypervisor, domain, script, variables=variables)
    except LabgenError as error:
        return error.details or error.brief
    return (result.tail or "failed") if result.status else ""
