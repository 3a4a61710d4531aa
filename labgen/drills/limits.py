"""Reserved memory."""

from labgen.drills import extras, nodes, predictions
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.services.view import WAITING, View

NAME = "labgen-drill-limits"
PART = 0.6  # of a node's free memory: two do not fit
LITTLE = 4 * 2**20  # bytes, the least that Docker takes: two fit
WAIT_LIMIT = 180  # seconds
REASON = "insufficient resources"


class Limits(Drill):
    name = "limits"
    about = "A task that reserves more memory than is free has to wait"
    hypothesis = "A second task that reserves more than a node has free waits, and starts when it reserves less."
    measures = False

    def run(self, stage: Stage) -> None:
        expected = predictions.started_in_words(predictions.starting(stage))
        spread = stage.spread()
        place = max(spread, key=lambda name: spread[name])
        reserved = int(PART * self._free(stage, place))
        options = ["--replicas", "2", "--constraint", f"node.hostname=={place}", "--reserve-memory", str(reserved)]
        stage.saw(f"two tasks for {place}, each with {PART:.0%} of its free memory")
        extras.create_service(stage, NAME, options, stage.service().image)
        full = stage.until("one runs and one waits", self._is_full, WAIT_LIMIT)
        view = stage.look()
        waiting = [task.error for task in view.current(view.service(NAME)) if task.state in WAITING]
        stage.saw("what Swarm says", "\n".join(waiting), f"{stage.manager}$ docker service ps {NAME}")
        stage.check("the second task waits", full is not None, "; ".join(waiting))
        moment = stage.now()
        words = ["service", "update", "--detach", "--no-resolve-image", "--reserve-memory", str(LITTLE), NAME]
        stage.docker("reserving less", *words)
        both = stage.until("both run", lambda view: not view.lacks_tasks(view.service(NAME)), nodes.RUN_LIMIT)
        stage.number("the second one ran after", None if both is None else both - moment, expected=expected)
        stage.check("it starts when it reserves less", both is not None)

    def _is_full(self, view: View) -> bool:
        service = view.service(NAME)
        refused = [task for task in view.current(service) if task.state in WAITING and REASON in task.error]
        return len(view.running(service)) == 1 and len(refused) == 1

    def _free(self, stage: Stage, place: str) -> int:
        """A node's memory that no task has reserved, in bytes."""
        view = stage.look()
        node = next(each for each in view.nodes if each.hostname == place)
        there = [task for task in view.tasks if task.node_id == node.id and task.state == "running"]
        return node.memory - sum(task.reserved.memory for task in there)
