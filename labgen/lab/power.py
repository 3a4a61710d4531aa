"""``stop`` and ``start``: the whole lab, off and on again."""

from labgen import ssh
from labgen.errors import UsageError
from labgen.hypervisor import Hypervisor
from labgen.lab.create import Outcome, go_on, note_failure, repair
from labgen.machines import freeze, recovery
from labgen.machines.access import target
from labgen.model import Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.records import journals

LOGIN_LIMIT = 60  # seconds for a machine that runs to let us in
OFF_LIMIT = 240  # seconds for a machine to shut down; Docker stops its containers first


def stop(name: str, progress: Progress) -> bool:
    """Shuts all machines down, as their power buttons would.

    One that does not react is switched off. :return: whether any was on.
    :raises UsageError: there is no such lab, or it is suspended.
    :raises LabgenError: it is being worked on, or libvirt refuses.
    """
    with journals.locked(name), Hypervisor.connect() as hypervisor:
        lab = journals.load(name).lab
        freeze.recover(lab, hypervisor, progress)  # the clocks do not matter any more
        states = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
        if "suspended" in states.values():
            raise UsageError(f"{name!r} is suspended", resolution=f"First: labgen resume {name}")
        running = {node.name: node for node in lab.nodes if states.get(node.domain, "stopped") != "stopped"}
        for node in running.values():
            progress.step("shutting down", node.name)
            hypervisor.press_power_button(node.domain)

        def wait(node_name: str) -> None:
            domain = running[node_name].domain
            if not hypervisor.wait_until_off(domain, OFF_LIMIT):
                progress.note(f"{node_name} did not shut down within {OFF_LIMIT} s: switched off")
                hypervisor.cut_power(domain)
            progress.done("off", node_name)

        on_each({node: node for node in running}, wait)
    return bool(running)


def start(name: str, progress: Progress, *, new_cluster: bool = False) -> Outcome:
    """Starts all machines and waits until the cluster is whole again; makes those of a lab that was imported.

    :param new_cluster: the user has given up what the cluster holds: form another one if need be.
    :raises UsageError: there is no such lab, or it has not even its files. :raises LabgenError: as create.
    """
    with journals.locked(name):
        journal = recovery.journal(name, progress)
        if journal.complete:
            return repair(journal, progress, new_cluster=new_cluster)
        if journal.stage == "planned":
            raise UsageError(
                f"{name!r} was never made",
                journal.failure,
                f"Resume it with: {journal.again}",
            )
        try:
            return go_on(journal, progress)
        except BaseException as error:
            note_failure(name, error)
            raise


def unlock(name: str, key: str) -> None:
    """Unlocks a lab's cluster; :func:`start` then finds it as it was.

    :raises UsageError: there is no such lab. :raises ClusterError: the key is not the right one.
    """
    with journals.locked(name):
        lab = journals.load(name).lab

        def attempt(node: Node) -> None:
            with ssh.Connection.open(target(lab, node), LOGIN_LIMIT) as connection:
                ORCHESTRATORS[lab.orchestrator].unlock(connection, key)

        on_each({node.name: node for node in lab.managers}, attempt)
