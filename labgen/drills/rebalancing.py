"""Moving as few tasks as possible to the nodes that have too few, one at a time, each after its successor is healthy.

Swarm itself never moves a task that runs (https://github.com/moby/moby/issues/24103). It places a further task on the
active node that has fewest of the service, and removes surplus ones from the node that has most: so while the
overloaded nodes are paused, one replica more and one less moves one task.
Source: https://github.com/moby/swarmkit/blob/master/manager/orchestrator/replicated/services.go
"""

from labgen.drills import nodes
from labgen.drills.stage import Stage, in_words
from labgen.errors import ClusterError
from labgen.records.changes import Change
from labgen.services.balance import Balance, balance

QUIET = 3.0  # seconds of load after the last move


def rebalance(stage: Stage) -> None:
    """Called for a service that runs as it should. :raises ClusterError: a task cannot move; all is put back."""
    with stage.perhaps_measured():
        before = stage.tasks_now("before")
        known = _running(stage)
        plan = balance(stage.service(), stage.look())
        _pause(stage, plan.overloaded)
        for number in range(plan.moves):
            _move_one(stage, f"{number + 1} of {plan.moves}")
        _activate(stage, plan.overloaded)
        stage.put_back()
        stage.wait(QUIET, "watching the answers")
        _judge(stage, plan, known, before)


def force(stage: Stage) -> None:
    """The well-known way: replaces all tasks. Swarm places them anew."""
    with stage.perhaps_measured():
        before = stage.tasks_now("before")
        known = _running(stage)
        plan = balance(stage.service(), stage.look())
        stage.docker("replacing all tasks", "service", "update", "--force", "--detach", stage.name)
        stage.until("all tasks are replaced", nodes.all_replaced(stage, known), nodes.UPDATE_LIMIT)
        stage.wait(QUIET, "watching the answers")
        _judge(stage, plan, known, before)


def _pause(stage: Stage, overloaded: list[str]) -> None:
    for node in overloaded:
        words = ("node", "update", "--availability", "pause", node)
        stage.docker(f"placing no tasks on {node} meanwhile", *words, change=Change("availability", node, "active"))


def _activate(stage: Stage, overloaded: list[str]) -> None:
    for node in overloaded:
        stage.docker(f"placing tasks on {node} again", "node", "update", "--availability", "active", node)


def _move_one(stage: Stage, number: str) -> None:
    service = stage.service()
    kept = stage.settings_kept()
    words = ("service", "scale", "--detach")
    stage.docker(f"move {number}: one more", *words, f"{stage.name}={service.desired + 1}", change=kept)
    if stage.until("it is healthy", nodes.all_run(stage), nodes.RUN_LIMIT) is None:
        raise ClusterError(f"a further task of {stage.name} does not start", "", _why(stage))
    stage.docker(f"move {number}: one less", *words, f"{stage.name}={service.desired}")
    if stage.until("the surplus one has ended", lambda view: not stage.surplus(view), nodes.RUN_LIMIT) is None:
        raise ClusterError(f"a surplus task of {stage.name} does not end", "", _why(stage))


def _judge(stage: Stage, plan: Balance, known: set[str], before: dict[str, int]) -> None:
    view = stage.look()
    stage.tasks_now("after")
    now = balance(stage.service(view), view)
    moved = len(_running(stage) - known)
    stage.number("tasks moved", moved, unit="", expected=f"{plan.moves} at least")
    stage.check("the tasks are spread evenly", not now.moves, f"before: {in_words(before)}")
    if stage.load:
        lost = stage.load.measured().failures
        stage.number("requests lost", len(lost), unit="")
        stage.check_none_lost(lost)


def _running(stage: Stage) -> set[str]:
    view = stage.look()
    return {task.id for task in view.running(stage.service(view))}


def _why(stage: Stage) -> str:
    return f"labgen why {stage.lab.plan.name} {stage.name}"
