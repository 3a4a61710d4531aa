"""A broken image."""

from labgen.drills import nodes, variants
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage

ROLLBACK_LIMIT = 600  # seconds
MONITOR = 15  # seconds in which a new task must not fail
DONE = "rollback_completed"


class Rollback(Drill):
    name = "rollback"
    about = "A broken image: the update fails and is rolled back by itself"
    hypothesis = "The update is rolled back by itself, the former image runs everywhere, and no request is lost."

    def refuse(self, stage: Stage) -> None:
        stage.require_replicas()
        variants.refuse_own_command(stage)

    def run(self, stage: Stage) -> None:
        former, broken = variants.image(stage), variants.broken(stage)
        stage.tasks_now("before")
        with stage.measured():
            moment = stage.now()
            options = ["--detach", "--no-resolve-image", "--image", broken, "--update-order", "start-first"]
            options += ["--update-failure-action", "rollback", "--update-monitor", f"{MONITOR}s"]
            words = ["service", "update", *options, stage.name]
            stage.docker("updating to the broken image", *words, change=stage.settings_kept())
            rolled_back = stage.until(
                "the update is rolled back",
                lambda view: stage.service(view).update_state == DONE,
                ROLLBACK_LIMIT,
            )
            good = stage.until("all tasks run the former image", nodes.all_run_image(stage, former), nodes.RUN_LIMIT)
            stage.wait(QUIET, "watching the answers")
            lost = stage.since(moment).failures
            stage.saw("what Swarm says", stage.service().update_message)
        stage.number("rolled back after", None if rolled_back is None else rolled_back - moment)
        stage.number("requests lost", len(lost), unit="")
        stage.tasks_now("after")
        stage.check("the update is rolled back by itself", rolled_back is not None)
        stage.check(f"all tasks run {former}", good is not None)
        stage.check_none_lost(lost)
