"""Where the tasks run, and who answers."""

import time

from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.services.placement import can_run, eligible
from labgen.services.view import View, constraints

LEAST = 10.0  # seconds of load
MOST = 60.0  # seconds until every task has answered
POLL = 1.0  # seconds


class Spread(Drill):
    name = "spread"
    about = "Where the tasks run, and the share of the answers of each"
    hypothesis = "The tasks are spread evenly over all nodes that may run them, and every one of them answers."

    def run(self, stage: Stage) -> None:
        view = stage.look()
        places = self._places(stage, view)
        spread = stage.tasks_now("before")
        names = {stage.task_name(task) for task in view.running(stage.service(view))}
        with stage.measured() as load:
            stage.progress.step("waiting until every task has answered", stage="watch")
            begin = time.monotonic()
            while time.monotonic() - begin < MOST:
                answered = {share.name for share in load.measured().tasks()}
                if (names <= answered or answered == {""}) and time.monotonic() - begin >= LEAST:
                    break
                time.sleep(POLL)
        measured = load.measured()
        counts = [spread[name] for name in places]
        stage.check(
            f"the tasks are spread evenly over {', '.join(places)}",
            max(counts) - min(counts) <= 1,
            ", ".join(f"{name} {spread[name]}" for name in places),
        )
        for share in measured.nodes():
            part = 100 * spread.get(share.name, 0) / sum(spread.values())
            expected = f"{part:.1f} %: its part of the tasks" if share.name in spread else ""
            stage.number(f"answered by {share.name or 'nodes that do not say so'}", share.part * 100, "%", expected)
        answered = {share.name for share in measured.tasks()}
        if answered == {""}:
            stage.saw("the answers do not say which task gave them (X-Task): whether every one answers is not known")
        else:
            silent = sorted(names - answered)
            stage.check("every task answers", not silent, f"no answer from {', '.join(silent)}" if silent else "")
        stage.check_none_lost(measured.failures)

    def _places(self, stage: Stage, view: View) -> list[str]:
        fitting = eligible(view.nodes, constraints(stage.service(view)))
        return [node.hostname for node in fitting if can_run(node)]
