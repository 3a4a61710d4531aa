"""All managers but one are lost."""

from labgen.drills import nodes
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage
from labgen.errors import ClusterError, UsageError
from labgen.records.changes import Change
from labgen.services.view import View, look

WATCH = 20.0  # seconds without a majority, in which the service has to answer
LEADER_LIMIT = 180  # seconds


class QuorumLoss(Drill):
    name = "quorum-loss"
    about = "The majority of the managers is lost; the rest begins anew"
    hypothesis = (
        "The managers that are left decide nothing any more, while the service goes on answering; with "
        "--force-new-cluster one of them decides again, and the others join it."
    )

    def refuse(self, stage: Stage) -> None:
        managers = self._managers(stage)
        if len(managers) < 3:
            raise UsageError(
                f"{stage.lab.plan.name!r} has no majority of managers that could be lost",
                f"managers: {', '.join(managers)}",
                "A lab with three: labgen create five-node-ha",
            )
        if not stage.force:
            raise UsageError(
                "this drill takes the majority of the managers away",
                f"managers: {', '.join(managers)}",
                "To do it nevertheless, add --force.",
            )

    def run(self, stage: Stage) -> None:
        survivor = stage.manager
        lost = [name for name in self._managers(stage) if name != survivor]
        stage.tasks_now("before")
        with stage.measured(without=lost):
            moment = stage.now()
            for name in lost:
                nodes.cut_power(stage, name)
            stage.wait(WATCH, "watching the answers")
            self._judge_without_majority(stage, moment)
            self._begin_anew(stage, survivor, lost)
            moment = stage.now()
            names = ", ".join(lost)
            text = f"{names}: started without a network, made to leave the former cluster, joined again"
            stage.act(text, self._return_by_hand(stage, survivor, lost), stage.put_back)
            stage.number("all managers are back after", stage.now() - moment)
            ready = stage.until("all nodes are ready", nodes.all_ready, nodes.BOOT_LIMIT)
            stage.wait(QUIET, "watching the answers")
        stage.tasks_now("after")
        again = self._managers(stage)
        stage.check("all managers are back", ready is not None and len(again) > len(lost), ", ".join(again))

    def _return_by_hand(self, stage: Stage, survivor: str, lost: list[str]) -> str:
        """The same as commands, a line each; the first is for the host."""
        lines = []
        for node in map(stage.lab.plan.node, lost):
            lines += [
                f"host$ virsh domif-setlink {node.domain} {node.mac} down --config; virsh start {node.domain}",
                f"{node.name}$ sudo ip address add {node.address}/24 dev eth0; sudo systemctl restart docker",
                f"{node.name}$ docker swarm leave --force",
                f"host$ virsh domif-setlink {node.domain} {node.mac} up",
                f"{node.name}$ docker swarm join --token TOKEN {stage.lab.plan.node(survivor).address}:2377",
            ]
        return "\n  ".join(lines).removeprefix("host$ ")

    def _judge_without_majority(self, stage: Stage, moment: float) -> None:
        answer = self._answer(stage)
        stage.saw("what the manager that is left says", answer, f"{stage.manager}$ docker node ls")
        answering, lost = stage.answering_after(moment), stage.since(moment).failures
        stage.number("answering again after", answering)
        stage.number("requests lost meanwhile", len(lost), unit="")
        stage.check("the manager that is left decides nothing", bool(answer), answer)
        stage.check("the service goes on answering without a majority", answering is not None)

    def _begin_anew(self, stage: Stage, survivor: str, lost: list[str]) -> None:
        """From here on the lost managers must not come back as they are: they would be a majority of their own."""
        for name in lost:
            stage.keep(Change("rejoin", name, survivor))
        moment, address = stage.now(), stage.lab.plan.node(survivor).address
        words = ["swarm", "init", "--force-new-cluster", "--advertise-addr", address]
        stage.docker(f"{survivor} begins anew, with what it has", *words, secret=True)
        leads = stage.until(f"{survivor} leads", self._leads(survivor), LEADER_LIMIT)
        stage.number("the cluster can be changed again after", None if leads is None else leads - moment)
        stage.check(f"{survivor} decides again", leads is not None)

    def _answer(self, stage: Stage) -> str:
        """Why the manager cannot list the nodes; empty: it can."""
        try:
            look(stage.there.engine)
        except ClusterError as error:
            return error.details or error.brief
        return ""

    def _leads(self, name: str) -> nodes.Condition:
        def holds(view: View) -> bool:
            return any(node.leader and node.hostname == name for node in view.nodes)

        return holds

    def _managers(self, stage: Stage) -> list[str]:
        return [node.hostname for node in stage.look().nodes if node.role == "manager"]
