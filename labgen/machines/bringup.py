"""Bring-up: what ``create``, ``start`` and repair do with a lab's machines, as a single list of stages.

Each stage checks whether it has to run. After an interruption, the next bring-up begins at the top and skips what
is already done: creating a lab, resuming an incomplete one, starting and repairing are the same operation.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from labgen.machines import stages
from labgen.machines.opened import Opened
from labgen.machines.stages import Bringup
from labgen.records import journals
from labgen.records.journals import Journal


@dataclass(frozen=True)
class Outcome:
    """:param changed: whether anything had to be done."""

    journal: Journal
    changed: bool


@dataclass(frozen=True)
class Stage:
    """:param needed: whether it has to run. :param leaves: the stage that an incomplete lab has reached then."""

    do: Callable[[Bringup], None]
    needed: Callable[[Bringup], bool] = lambda _: True
    leaves: journals.Stage | None = None

    @property
    def name(self) -> str:
        """The name of this stage in events, for programs."""
        return self.do.__name__.replace("_", "-")


STAGES = (
    Stage(stages.connect_network),
    Stage(stages.require_whole, needed=Bringup.was_complete),
    Stage(stages.clear_half_made, needed=Bringup.is_half_made),
    Stage(stages.resume_held),
    Stage(stages.go_on_with_received_memory, needed=stages.has_received_memory),
    Stage(stages.forget_former_keys),
    Stage(stages.awaken_template, needed=Bringup.begins_afresh),
    Stage(stages.switch_on),
    Stage(stages.set_clocks, needed=lambda work: bool(work.behind)),
    Stage(stages.require_links, needed=Bringup.was_complete),
    Stage(stages.begin_boot, needed=stages.has_to_boot),
    Stage(stages.prepare_nodes, leaves="provisioned"),
    Stage(stages.keep_template, needed=stages.is_worth_keeping),
    Stage(stages.correct_clocks, needed=Bringup.was_complete),
    Stage(stages.move_cluster, needed=stages.is_readdressed),
    Stage(stages.set_up_registry, needed=stages.has_registry),
    Stage(stages.form_cluster, leaves="clustered"),
    Stage(stages.set_up_balancers, needed=stages.has_balancers),
    Stage(stages.renew_secrets, needed=stages.has_the_senders_secrets),
    Stage(stages.arrive, needed=stages.has_just_arrived),
    Stage(stages.wait_for_boot),
    Stage(stages.put_back, needed=stages.has_changes),
    Stage(stages.examine, needed=Bringup.was_complete),
    Stage(stages.note_facts),
)


def bring_up(opened: Opened, *, cold: bool = False, new_cluster: bool = False) -> Outcome:
    """From files on disk to a checked cluster; what already exists is only checked.

    :param cold: boot the machines even if there is a template, and create none.
    :param new_cluster: the user has agreed to lose the cluster's contents.
    :raises LabgenError: from any of the stages.
    """
    with ExitStack() as stack:
        work = Bringup(opened, stack, cold, new_cluster, changed=bool(opened.woken))
        for stage in STAGES:
            if stage.needed(work):
                work.progress = opened.progress.at(stage.name)
                stage.do(work)
            if stage.leaves and not work.journal.complete:
                opened.save(work.journal.reached(stage.leaves))
    return Outcome(work.journal, work.changed)
