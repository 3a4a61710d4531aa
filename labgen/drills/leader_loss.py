"""The leading manager is lost."""

from labgen.drills import nodes, outage, predictions
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.errors import UsageError
from labgen.services.view import View

LEAST = 3  # managers: two of them still have a majority
ELECTION_LIMIT = 180  # seconds


class LeaderLoss(Drill):
    name = "leader-loss"
    about = "The leading manager loses its power; another one leads"
    hypothesis = "Another manager leads, the cluster can be changed again, and the service goes on answering."

    def refuse(self, stage: Stage) -> None:
        managers = [node.hostname for node in stage.look().nodes if node.role == "manager"]
        if len(managers) < LEAST:
            raise UsageError(
                f"without its leader {stage.lab.plan.name!r} has no majority of managers",
                f"managers: {', '.join(managers)}",
                "A lab with three: labgen create five-node-ha",
            )

    def run(self, stage: Stage) -> None:
        leader = next(node.hostname for node in stage.look().nodes if node.leader)
        start = predictions.starting(stage)
        stage.tasks_now("before")
        with stage.seen_without([leader]), stage.measured(without=[leader]):
            moment = stage.now()
            nodes.cut_power(stage, leader)
            other = stage.until("another manager leads", self._leads_without(leader), ELECTION_LIMIT)
            took = None if other is None else other - moment
            stage.number("another manager leads after", took, expected=predictions.election_in_words())
            stage.check("another manager leads", other is not None)
            outage.observe(stage, leader, moment, start, led=True)
            moment = stage.now()
            domain = stage.lab.plan.node(leader).domain
            stage.act(f"switching {leader} on again", f"virsh start {domain}", stage.put_back)
            outage.observe_return(stage, leader, moment)

    def _leads_without(self, former: str) -> nodes.Condition:
        def holds(view: View) -> bool:
            return any(node.leader and node.hostname != former for node in view.nodes)

        return holds
