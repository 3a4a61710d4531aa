"""What drills do to the backends of a lab's load balancers; each is a step, as a user would type it."""

from collections.abc import Collection

from labgen.drills.stage import Stage
from labgen.machines import balancing
from labgen.records.changes import Change


def refresh(stage: Stage, balancers: Collection[str]) -> None:
    """Gives balancers the backends that there are now. :param balancers: their names.

    :raises GuestError: one does not answer, or its program does not accept its configuration.
    """
    stage.act(
        f"giving {', '.join(balancers)} the backends that there are now",
        f"labgen balance {stage.lab.plan.name}",
        lambda: _configure(stage, balancers),
    )


def drain(stage: Stage, node: str) -> None:
    """A node gets no new clients from any balancer. :raises GuestError: see :func:`refresh`."""
    plan = stage.lab.plan

    def do() -> None:
        balancing.drain(plan, node, draining=True)
        _configure(stage, [each.name for each in plan.balancers])

    change = Change("balancer-drain", node)
    stage.act(f"draining {node} in the load balancers", f"labgen balance {plan.name} --drain {node}", do, change)


def undrain(stage: Stage, node: str) -> None:
    """Puts back what :func:`drain` did, and all else that is still changed."""
    command = f"labgen balance {stage.lab.plan.name} --undrain {node}"
    stage.act(f"giving {node} new clients again", command, stage.put_back)


def _configure(stage: Stage, balancers: Collection[str]) -> None:
    plan, progress = stage.lab.plan, stage.progress
    why = f"labgen drill {stage.result.name}"
    with balancing.entered(plan, progress.note) as connections:
        chosen = {name: each for name, each in connections.items() if name in balancers}
        balancing.configure(plan, balancing.look(plan, stage.there.engine), chosen, why, progress)
