"""A new image, in the two orders that Swarm has."""

from labgen.drills import nodes, predictions, variants
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage

ORDERS = ("start-first", "stop-first")
DELAY = 2  # seconds between two tasks


class Update(Drill):
    name = "update"
    about = "A new image, start-first and stop-first"
    hypothesis = "Every task gets the new image; if a new task starts before an old one stops, no request is lost."

    def refuse(self, stage: Stage) -> None:
        stage.require_replicas()

    def run(self, stage: Stage) -> None:
        former, new = variants.image(stage), variants.next_version(stage)
        count, start = stage.service().desired, predictions.starting(stage)
        expected = f"{count * (start + DELAY):.0f} s: {count} tasks, {start:.0f} s start and {DELAY} s delay each"
        stage.tasks_now("before")
        with stage.measured():
            for order, image in zip(ORDERS, (new, former), strict=True):
                moment = stage.now()
                options = ["--detach", "--no-resolve-image", "--image", image, "--update-order", order]
                options += ["--update-parallelism", "1", "--update-delay", f"{DELAY}s"]
                words = ["service", "update", *options, stage.name]
                stage.docker(f"updating, {order}", *words, change=stage.settings_kept())
                done = stage.until(f"all tasks run {image}", nodes.all_run_image(stage, image), nodes.UPDATE_LIMIT)
                stage.wait(QUIET, "watching the answers")
                lost = stage.since(moment).failures
                took = None if done is None else done - moment
                stage.number(f"updated after, {order}", took, expected=expected)
                stage.number(f"requests lost, {order}", len(lost), unit="")
                stage.check(f"all tasks run the other image, {order}", done is not None)
                if order == ORDERS[0]:
                    stage.check_none_lost(lost, order)
        stage.tasks_now("after")
