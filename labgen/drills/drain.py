"""A node is emptied for maintenance."""

from labgen.drills import nodes, predictions
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage
from labgen.records.changes import Change

WATCH = 15.0  # seconds in which tasks could return


class Drain(Drill):
    name = "drain"
    about = "A node is drained and activated: nothing returns by itself"
    hypothesis = "All tasks move to other nodes, the service goes on answering, and nothing returns by itself."

    def refuse(self, stage: Stage) -> None:
        nodes.require_another_node(stage)

    def run(self, stage: Stage) -> None:
        victim = nodes.busiest(stage)
        expected = predictions.started_in_words(predictions.starting(stage), stage.service().restart_delay)
        stage.tasks_now("before")
        with stage.measured():
            moment = stage.now()
            change = Change("availability", victim, "active")
            stage.docker(f"draining {victim}", "node", "update", "--availability", "drain", victim, change=change)
            elsewhere = stage.until(
                "all tasks run on other nodes", nodes.all_elsewhere(stage, victim), nodes.RUN_LIMIT
            )
            stage.wait(QUIET, "watching the answers")
            measured = stage.since(moment)
            took = None if elsewhere is None else elsewhere - moment
            stage.number("tasks run elsewhere after", took, expected=expected)
            stage.number("requests lost meanwhile", len(measured.failures), unit="")
            stage.tasks_now("during")
            stage.check("all tasks run on other nodes", elsewhere is not None)
            silent = measured.silent_seconds()
            stage.check("the service goes on answering", not silent, f"{len(silent)} seconds without an answer")
            stage.docker(f"making {victim} active again", "node", "update", "--availability", "active", victim)
            stage.put_back()
            stage.wait(WATCH, "watching whether tasks return")
            after = stage.tasks_now("after")
            stage.check("nothing returns by itself", not after[victim], f"{victim} has {after[victim]} tasks")
