"""``create``: from a profile, or from an incomplete or damaged lab, to a running one."""

from dataclasses import replace

from labgen import boxes, paths, ssh
from labgen.lab import doctor
from labgen.machines import planning, recovery
from labgen.machines.bringup import Outcome, bring_up
from labgen.machines.opened import Claim, Opened, claimed, failure_noted
from labgen.machines.removal import remove_lab
from labgen.profile import Loaded
from labgen.progress import Progress
from labgen.records import data_home, registry
from labgen.records.journals import Journal
from labgen.render import write


def create(loaded: Loaded, name: str, progress: Progress, *, rollback: bool = False, cold: bool = False) -> Outcome:
    """Creates the lab, resumes an incomplete one, or checks and repairs an existing one.

    :param rollback: after a failure, remove what was created; otherwise keep it, to inspect it and to resume.
    :param cold: boot the machines even if there is a template, and create none.
    :raises LabgenError: from any of the stages.
    """
    with claimed(name, progress) as claim:
        planning.refuse_another_profile(loaded, name)
        new = not claim.has_journal
        if new:
            recovery.refuse_lost(name, claim.host)
        try:
            with failure_noted(name):
                if not new and claim.journal().complete:
                    return bring_up(claim.opened(claim.journal()))
                return bring_up(_prepared(loaded, claim, cold), cold=cold)
        except BaseException:
            if rollback and new:
                claim.progress.step("removing what was created", stage="roll-back")
                remove_lab(claim)
            raise


def _prepared(loaded: Loaded, claim: Claim, cold: bool) -> Opened:
    """A lab that has its files, and whose box has been added to Vagrant."""
    doctor.require_ready(loaded.profile, claim.host)
    box = boxes.ensure(loaded.profile.box, claim.progress)
    lab = claim.begun(_planned(loaded, claim, box, cold))
    directory = paths.lab(claim.name)
    write(planning.files(loaded, lab.plan, claim.host.libvirt, directory), directory)
    (directory / paths.LOGS).mkdir(exist_ok=True)
    ssh.make_key(directory / paths.KEY, f"labgen {claim.name}")
    lab.save(lab.journal.reached("rendered"))
    planning.add_box(box, claim.progress)
    return lab


def _planned(loaded: Loaded, claim: Claim, box: boxes.Box, cold: bool) -> Journal:
    request = planning.request(loaded, cold=cold)
    if claim.has_journal:
        claim.progress.note(f"the create of {claim.name} was not finished; resuming it")
        return replace(claim.journal(), request=request)
    accelerator = claim.host.accelerator(claim.progress)
    if accelerator.kind == "tcg":
        claim.progress.note(f"{accelerator.reason}: the machines run in software emulation, which is much slower")
    subnet = _reserved(loaded, claim)
    lab = planning.decide(loaded, claim.name, subnet, accelerator.kind, box, owner=data_home.owner())
    return Journal(lab, request=request)


def _reserved(loaded: Loaded, claim: Claim) -> str:
    """The lab's subnet, reserved: no other lab of this data home gets it from now on."""
    with registry.locked():
        known = registry.load()
        subnet = known.subnets.get(claim.name)
        if subnet is None:
            choice = planning.choose_subnet(loaded, known.subnets, claim.hypervisor.networks(), claim.host)
            if choice.note:
                claim.progress.note(choice.note)
            subnet = choice.subnet
        paths.lab(claim.name).mkdir(parents=True, exist_ok=True)  # if that is refused, nothing is reserved either
        registry.save(known.with_lab(claim.name, subnet))
    return subnet
