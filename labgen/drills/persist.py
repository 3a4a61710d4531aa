"""A database whose node is lost and comes back."""

from labgen.drills import nodes
from labgen.drills.base import Drill
from labgen.drills.page import fact
from labgen.drills.stage import Stage, published
from labgen.errors import ClusterError, UsageError
from labgen.services.view import View

DATABASE, PAGE = "lamp_db", "lamp_web"
COUNTER = "requests"  # the line of the page with the number of requests, which is in the database
BACK_LIMIT = 600  # seconds until the database answers again; emulated machines boot and recover slowly


class Persist(Drill):
    name = "persist"
    about = "The node of a database is lost and comes back: the data is there"
    hypothesis = (
        "The database, which a label pins to its node, waits for that node, and has all its rows when it is back."
    )
    needs_service = False

    def refuse(self, stage: Stage) -> None:
        names = {service.name for service in stage.look().services}
        if not {DATABASE, PAGE} <= names:
            lab = stage.lab.plan.name
            raise UsageError(f"the stack lamp is not in {lab!r}", resolution=f"First: labgen deploy {lab} lamp")
        nodes.require_another_node(stage)
        if (place := self._place(stage)) == stage.manager:
            raise UsageError(f"the database is on {place}, through which the drill looks", "", "Pin it to a worker.")

    def run(self, stage: Stage) -> None:
        place = self._place(stage)
        before = self._counted(stage, place)
        moment = stage.now()
        nodes.cut_power(stage, place)
        down = stage.until(f"the managers see {place} as down", nodes.is_down(stage, place), nodes.NOTICE_LIMIT)
        view = stage.look()
        elsewhere = view.running(view.service(DATABASE))
        stage.check("the database starts on no other node", down is not None and not elsewhere)
        back = stage.now()
        stage.act(f"switching {place} on again", f"virsh start {stage.lab.plan.node(place).domain}", stage.put_back)
        stage.until("the database runs again", self._runs_on(place), BACK_LIMIT)
        after = self._counted(stage, place)
        stage.number("the page answers again after", stage.now() - back)
        stage.number("without a database for", stage.now() - moment)
        stage.check(f"the database is on {place} again", self._place(stage) == place)
        stage.check("all rows are there", after > before, f"the counter was {before}, and goes on with {after}")

    def _place(self, stage: Stage) -> str:
        """The node that the database runs on. :raises ClusterError: it does not run."""
        view = stage.look()
        running = view.running(view.service(DATABASE))
        if not running:
            lab = stage.lab.plan.name
            raise ClusterError(f"{DATABASE} does not run", resolution=f"labgen why {lab} {DATABASE}")
        return view.hostnames[running[0].node_id]

    def _runs_on(self, place: str) -> nodes.Condition:
        def holds(view: View) -> bool:
            return [view.hostnames[task.node_id] for task in view.running(view.service(DATABASE))] == [place]

        return holds

    def _counted(self, stage: Stage, place: str) -> int:
        """The counter on the page, as soon as there is one.

        :raises ClusterError: there is none within the limit, or it is not a number.
        """
        view = stage.look()
        node = next(each for each in stage.members() if each.name != place)
        port = published(view.service(PAGE))
        stage.progress.step("waiting until the page shows the counter", stage="watch")
        shown = fact(node, port, COUNTER, BACK_LIMIT).value
        if not shown.isdecimal():
            raise ClusterError(f"the counter on the page of {node.name} is not a number", f"{COUNTER}: {shown}")
        stage.saw(f"the counter in the database is {shown}", command=f"host$ curl http://{node.address}:{port}/")
        return int(shown)
