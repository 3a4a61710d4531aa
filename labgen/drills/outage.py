"""A node is away: what the managers notice, where its tasks run then, and which requests are lost."""

from labgen.drills import nodes, predictions
from labgen.drills.stage import Stage

QUIET = 5.0  # seconds of load, to see that no request fails any more


def observe(stage: Stage, victim: str, moment: float, start: float, *, led: bool = False) -> None:
    """Called right after the node was taken away, under load; keeps numbers and checks.

    :param moment: of that, in seconds since the drill began. :param start: seconds that its tasks take to start.
    :param led: it was the leader.
    """
    down = stage.until(f"the managers see {victim} as down", nodes.is_down(stage, victim), nodes.NOTICE_LIMIT)
    elsewhere = stage.until("all tasks run on other nodes", nodes.all_elsewhere(stage, victim), nodes.RUN_LIMIT)
    stage.wait(QUIET, "watching the answers")
    answering = stage.answering_after(moment)
    lost = stage.since(moment).failures
    delay = stage.service().restart_delay
    stage.number("detected after", _after(down, moment), expected=predictions.detection_in_words(stage, led=led))
    expected = predictions.rescheduled_in_words(stage, delay, start, led=led)
    stage.number("tasks run elsewhere after", _after(elsewhere, moment), expected=expected)
    stage.number("answering again after", answering)
    stage.number("requests lost meanwhile", len(lost), unit="")
    stage.tasks_now("during")
    stage.check(f"the managers notice that {victim} is away", down is not None)
    stage.check("all tasks run on other nodes", elsewhere is not None)
    stage.check("every request is answered again while it is away", answering is not None)


def observe_return(stage: Stage, victim: str, moment: float) -> None:
    """Called when the node was put back. :param moment: of that."""
    ready = stage.until(f"the managers see {victim} as ready", nodes.is_ready(stage, victim), nodes.BOOT_LIMIT)
    stage.until("all tasks run", nodes.all_run(stage), nodes.RUN_LIMIT)
    stage.wait(QUIET, "watching the answers")
    lost = stage.since(moment).failures
    stage.number("ready again after", _after(ready, moment))
    stage.number("requests lost on its return", len(lost), unit="")
    after = stage.tasks_now("after")
    stage.check(f"{victim} is ready again", ready is not None)
    stage.check(
        "no task returns by itself",
        not after.get(victim),
        f"{victim} has {after.get(victim, 0)} tasks; labgen rebalance {stage.lab.plan.name} moves some there",
    )


def _after(moment: float | None, begin: float) -> float | None:
    return None if moment is None else moment - begin
