"""A node loses its power."""

from labgen.drills import nodes, outage, predictions
from labgen.drills.base import Drill
from labgen.drills.stage import Stage


class PowerOff(Drill):
    name = "power-off"
    about = "A node loses its power; its tasks start on others"
    hypothesis = "The managers notice it, start its tasks on other nodes, and every request is answered again."

    def refuse(self, stage: Stage) -> None:
        nodes.require_another_node(stage)
        nodes.require_majority_without(stage, nodes.busiest(stage))

    def run(self, stage: Stage) -> None:
        victim, start = nodes.busiest(stage), predictions.starting(stage)
        stage.tasks_now("before")
        with stage.measured(without=[victim]):
            moment = stage.now()
            nodes.cut_power(stage, victim)
            outage.observe(stage, victim, moment, start)
            moment = stage.now()
            domain = stage.lab.plan.node(victim).domain
            stage.act(f"switching {victim} on again", f"virsh start {domain}", stage.put_back)
            outage.observe_return(stage, victim, moment)
