"""Switching machines off and on, while the rest of the lab goes on."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labgen.errors import UsageError
from labgen.machines import access, boot
from labgen.machines.membership import majority_lost, members
from labgen.machines.opened import Opened
from labgen.machines.preparation import Preparation
from labgen.model import Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.orchestrators.base import State
from labgen.parallel import on_each

OFF_LIMIT = 240  # seconds for a machine to shut down; Docker stops its containers first
# Seconds until the cluster has noticed: its managers miss a few heartbeats first, and emulated machines are slow.
NOTICE_LIMIT = 120
POLL = 2  # seconds


@dataclass(frozen=True)
class Standing:
    """:param machine: its state in libvirt. :param cluster: the node's state as the cluster sees it; empty: none."""

    node: str
    machine: str
    cluster: str


def chosen(lab: Opened, names: Sequence[str]) -> list[Node]:
    """The nodes of these names, each once.

    :raises UsageError: there is no such node, or the lab is suspended.
    """
    nodes = [access.find_node(lab.plan, name) for name in dict.fromkeys(names)]
    refuse_suspended(lab)
    return nodes


def chosen_to_go_off(lab: Opened, names: Sequence[str], *, force: bool) -> list[Node]:
    """The same, for nodes that are about to be switched off.

    :param force: even if the cluster loses its majority of managers.
    :raises UsageError: without it, that would be so.
    """
    nodes = chosen(lab, names)
    going = {node.name for node in nodes}
    if force or going.isdisjoint(node.name for node in lab.plan.members):
        return nodes
    if lost := majority_lost(lab.journal, going, members(lab.plan, _reachable(lab))):
        raise UsageError(
            f"without {', '.join(sorted(going))} the cluster of {lab.plan.name!r} has no majority of managers",
            lost,
            "To do it nevertheless, add --force.",
        )
    return nodes


def refuse_suspended(lab: Opened) -> None:
    """:raises UsageError: the lab is suspended: its machines' memory belongs together."""
    if "suspended" in lab.states().values():
        raise UsageError(f"{lab.plan.name!r} is suspended", resolution=f"First: labgen resume {lab.plan.name}")


def shut_down(lab: Opened, nodes: Collection[Node]) -> set[str]:
    """Shuts machines down, as their power buttons would; one that does not react is switched off.

    :return: the names of those that were on. :raises HypervisorError: libvirt refuses.
    """
    states = lab.states()
    on = {node.name: node.domain for node in nodes if states.get(node.name, "stopped") != "stopped"}
    for name, domain in on.items():
        lab.progress.step("shutting down", name, stage="shut-down")
        lab.hypervisor.press_power_button(domain)

    def wait(name: str) -> None:
        if not lab.hypervisor.wait_until_off(on[name], OFF_LIMIT):
            lab.progress.note(f"{name} did not shut down within {OFF_LIMIT} s: switched off")
            lab.hypervisor.cut_power(on[name])
        lab.progress.done("off", name, stage="shut-down")

    on_each({name: name for name in on}, wait)
    return set(on)


def cut(lab: Opened, nodes: Collection[Node]) -> set[str]:
    """Switches machines off at once, as a power failure would. :return: the names of those that were on."""
    states = lab.states()
    on = [node for node in nodes if states.get(node.name, "stopped") != "stopped"]
    for node in on:
        lab.hypervisor.cut_power(node.domain)
        lab.progress.done("off", node.name, stage="cut-power")
    return {node.name for node in on}


def switch_on(lab: Opened, nodes: Collection[Node]) -> set[str]:
    """Boots machines that are off, and waits until each accepts a login and is ready for what it is for.

    :return: the names of those that were off. :raises LabgenError: libvirt refuses, or a machine does not come up.
    :raises GuestError: the links of some are down; they have been switched on.
    """
    boot.connect(lab.plan, lab.hypervisor, lab.progress)
    started = boot.start(lab.plan, lab.hypervisor, lab.progress, nodes)
    if down := lab.with_link_down() & {node.name for node in nodes}:
        raise access.link_down(lab.plan, down)

    preparation = Preparation(lab.plan, lab.host, set(started), set(started), None, lab.progress)
    on_each({name: lab.plan.node(name) for name in started}, lambda node: preparation.ready(node).close())
    return set(started)


def standings(lab: Opened, nodes: Collection[Node], awaited: State) -> list[Standing]:
    """The nodes' states, once the cluster has noticed the change, or after its time for that.

    :param awaited: the state in which the cluster is to see them.
    """
    in_cluster = {node.name for node in nodes} & {node.name for node in lab.plan.members}
    noun = ORCHESTRATORS[lab.plan.orchestrator].noun
    deadline = time.monotonic() + NOTICE_LIMIT
    lab.progress.step(f"waiting until the {noun} has noticed", stage="notice")
    said = members(lab.plan, _reachable(lab))
    while said and any(said[name].state != awaited for name in in_cluster if name in said):
        if time.monotonic() > deadline:
            lab.progress.note(f"the {noun} has not noticed within {NOTICE_LIMIT} s")
            break
        time.sleep(POLL)
        said = members(lab.plan, _reachable(lab))
    states = lab.states()
    return [
        Standing(
            node.name,
            states.get(node.name, "missing"),
            said[node.name].state if node.name in said else "unknown" if node.name in in_cluster else "",
        )
        for node in nodes
    ]


def _reachable(lab: Opened) -> set[str]:
    return {name for name, state in lab.states().items() if state == "running"} - lab.with_link_down()
