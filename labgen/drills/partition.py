"""A node loses its network and runs on."""

import time

from labgen.drills import nodes, outage, predictions
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.errors import GuestError
from labgen.machines import agent
from labgen.ssh import Result

END_LIMIT = 180  # seconds; Docker kills a container that does not stop after 10 s
POLL = 2.0  # seconds
# What the node itself sees, through QEMU's guest agent: no login is possible. $1: the service's name.
BELIEF = """
docker ps --quiet --filter "label=com.docker.swarm.service.name=$1" | wc -l
docker info --format 'state in the Swarm: {{.Swarm.LocalNodeState}}'
"""


class Partition(Drill):
    name = "partition"
    about = "A node loses its network and runs on"
    hypothesis = (
        "The managers start its tasks on other nodes while it goes on running its own; when the network is back, "
        "its copies end."
    )

    def refuse(self, stage: Stage) -> None:
        nodes.require_another_node(stage)
        nodes.require_majority_without(stage, nodes.busiest(stage))

    def run(self, stage: Stage) -> None:
        victim, start = nodes.busiest(stage), predictions.starting(stage)
        before = stage.tasks_now("before")
        with stage.measured(without=[victim]):
            moment = stage.now()
            nodes.unplug(stage, victim)
            outage.observe(stage, victim, moment, start)
            copies = self._copies(stage, victim)
            stage.number("copies that run on the lost node", copies, unit="", expected=f"{before[victim]}")
            stage.check(
                f"{victim} still runs its tasks, which the managers have replaced",
                copies == before[victim],
                f"{copies} containers there, and {stage.service().desired or 'all'} tasks elsewhere",
            )
            moment = stage.now()
            plan = stage.lab.plan
            link = f"virsh domif-setlink {plan.node(victim).domain} {plan.node(victim).mac} up"
            stage.act(f"plugging the network of {victim} in again", link, stage.put_back)
            outage.observe_return(stage, victim, moment)
            gone = self._copies_end(stage, victim)
            stage.number("its copies had ended after", None if gone is None else gone - moment)
            stage.check(f"its copies have ended: {victim} runs what the managers say", gone is not None)

    def _copies(self, stage: Stage, victim: str) -> int:
        """How many containers of the service the node runs, as it sees it itself; keeps that."""
        count, state = self._seen_by_itself(stage, victim)
        command = f"{victim}$ docker ps --filter label=com.docker.swarm.service.name={stage.name}"
        stage.saw(f"{victim} itself sees {count} containers; {state}", state, command)
        return count

    def _copies_end(self, stage: Stage, victim: str) -> float | None:
        """The moment from which on it runs what the managers say; None: not within the limit."""
        stage.progress.step("waiting until its copies have ended", stage="watch")
        deadline = time.monotonic() + END_LIMIT
        while self._seen_by_itself(stage, victim)[0] != stage.spread()[victim]:
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL)
        return stage.now()

    def _seen_by_itself(self, stage: Stage, victim: str) -> tuple[int, str]:
        """The number of containers, and the node's state."""
        told: Result = agent.run(stage.lab.hypervisor, stage.lab.plan.node(victim).domain, BELIEF, [stage.name])
        count, _, state = told.stdout.strip().partition("\n")
        if told.status or not count.strip().isdigit():
            raise GuestError(f"{victim}: its Docker does not answer", told.tail)
        return int(count), state
