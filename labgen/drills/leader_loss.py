"""The leading manager is lost."""

from labgen.drills import nodes
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
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
        stage.tasks_now("before")
        with stage.seen_without([leader]), stage.measured(without=[leader]):
            moment = stage.now()
            nodes.cut_power(stage, leader)
            other = stage.until("another manager leads", self._leads_without(leader), ELECTION_LIMIT)
            elsewhere = stage.until(
                "all tasks run on other nodes", nodes.all_elsewhere(stage, leader), nodes.RUN_LIMIT
            )
            stage.wait(QUIET, "watching the answers")
            answering = stage.answering_after(moment)
            new = next((node.hostname for node in stage.look().nodes if node.leader), "nobody")
            stage.number("another manager leads after", None if other is None else other - moment)
            stage.number("tasks run elsewhere after", None if elsewhere is None else elsewhere - moment)
            stage.number("answering again after", answering)
            stage.number("requests lost meanwhile", len(stage.since(moment).failures), unit="")
            stage.tasks_now("during")
            stage.check("another manager leads", other is not None, f"{leader} led, now {new}")
            stage.check("all tasks run on other nodes", elsewhere is not None)
            stage.check("every request is answered again while it is away", answering is not None)
            moment = stage.now()
            stage.act(
                f"switching {leader} on again", f"virsh start {stage.lab.plan.node(leader).domain}", stage.put_back
            )
            ready = stage.until(f"{leader} is ready", nodes.is_ready(stage, leader), nodes.BOOT_LIMIT)
            stage.number("ready again after", None if ready is None else ready - moment)
            stage.check(f"{leader} manages again", ready is not None)
            stage.tasks_now("after")

    def _leads_without(self, former: str) -> nodes.Condition:
        def holds(view: View) -> bool:
            return any(node.leader and node.hostname != former for node in view.nodes)

        return holds
