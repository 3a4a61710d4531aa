"""``stop``: switches the whole lab off."""

from labgen.errors import UsageError
from labgen.machines import parts
from labgen.machines.opened import opened
from labgen.parallel import on_each
from labgen.progress import Progress

OFF_LIMIT = 240  # seconds for a machine to shut down; Docker stops its containers first


def stop(name: str, progress: Progress) -> bool:
    """Shuts all machines down, as their power buttons would.

    One that does not react is switched off; a node without a machine is reported. :return: whether any was on.
    :raises UsageError: there is no such lab, or it is suspended.
    :raises LabgenError: another process works on it, or libvirt refuses.
    """
    with opened(name, progress, going_off=True) as lab:
        states = lab.states()
        if "suspended" in states.values():
            raise UsageError(f"{name!r} is suspended", resolution=f"First: labgen resume {name}")
        parts.tell_missing_machines(lab.journal, lab.hypervisor, lab.progress)
        on = {node.name: node.domain for node in lab.nodes if states.get(node.name, "stopped") != "stopped"}
        for node, domain in on.items():
            lab.progress.step("shutting down", node, stage="shut-down")
            lab.hypervisor.press_power_button(domain)

        def wait(node: str) -> None:
            if not lab.hypervisor.wait_until_off(on[node], OFF_LIMIT):
                lab.progress.note(f"{node} did not shut down within {OFF_LIMIT} s: switched off")
                lab.hypervisor.cut_power(on[node])
            lab.progress.done("off", node, stage="shut-down")

        on_each({node: node for node in on}, wait)
    return bool(on)
