"""More replicas, and fewer again."""

from labgen.drills import nodes, predictions
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage
from labgen.errors import UsageError


class Scale(Drill):
    name = "scale"
    about = "More replicas, and fewer again, without a lost request"
    hypothesis = "The further tasks run, on the nodes that have fewest, and no request is lost, up or down."

    def refuse(self, stage: Stage) -> None:
        stage.require_replicas()

    def run(self, stage: Stage) -> None:
        service = stage.service()
        more = service.desired + len(stage.there.running)
        if service.max_per_node and more > service.max_per_node * len(stage.there.running):
            raise UsageError(f"{stage.name} allows {service.max_per_node} tasks per node")
        expected = predictions.started_in_words(predictions.starting(stage))
        before = stage.tasks_now("before")
        with stage.measured():
            moment = stage.now()
            change = stage.settings_kept()
            stage.docker(f"scaling to {more}", "service", "scale", "--detach", f"{stage.name}={more}", change=change)
            up = stage.until(f"{more} tasks run", nodes.all_run(stage), nodes.RUN_LIMIT)
            stage.wait(QUIET, "watching the answers")
            during = stage.tasks_now("during")
            stage.number("further tasks run after", None if up is None else up - moment, expected=expected)
            lost_up = stage.since(moment).failures
            moment = stage.now()
            words = ["service", "scale", "--detach", f"{stage.name}={service.desired}"]
            stage.docker(f"scaling back to {service.desired}", *words)
            down = stage.until("the surplus tasks have ended", lambda view: not stage.surplus(view), nodes.RUN_LIMIT)
            stage.wait(QUIET, "watching the answers")
            stage.number("surplus tasks ended after", None if down is None else down - moment)
            lost_down = stage.since(moment).failures
            stage.tasks_now("after")
        stage.check("all further tasks run", up is not None)
        least = min(during[name] - before[name] for name in before)
        stage.check("no node is left out", least >= 0, ", ".join(f"{name} {count}" for name, count in during.items()))
        stage.check_none_lost(lost_up, "while it grows")
        stage.check_none_lost(lost_down, "while it shrinks")
