"""Load balancers beside the mesh alone: shares, latency, a lost node, a drained one, clients with a login."""

from labgen.drills import backends, entrances, nodes
from labgen.drills.base import Drill
from labgen.drills.comparison import Comparison
from labgen.drills.entrances import Entrance
from labgen.drills.lanes import in_turn, lanes
from labgen.drills.logins import Logins
from labgen.drills.stage import Stage
from labgen.engine import Service
from labgen.errors import ClusterError, UsageError

LEAST = 2000  # requests through each balancer


class Balance(Drill):
    name = "balance"
    about = "The load balancers beside the mesh alone; one node is lost"
    hypothesis = (
        "Each load balancer gives every backend its share; when a node is lost, every request is answered again, by "
        "itself or after 'labgen balance'; a backend is drained without a lost request."
    )
    measures = False  # a service whose tasks are reached directly publishes no port that all nodes have

    def fits(self, service: Service) -> bool:
        return entrances.publishes(service)

    def refuse(self, stage: Stage) -> None:
        name = stage.lab.plan.name
        if not stage.lab.plan.balancers:
            raise UsageError(
                f"{name!r} has no load balancer",
                resolution="A lab that has several, to compare them: labgen create three-node-balancers",
            )
        _require_running_balancers(stage)
        ways, left_out = self._ways(stage)
        if not ways:
            raise UsageError(
                f"no load balancer of {name!r} leads to {stage.name} in a way that can be measured",
                "\n".join(left_out),
                f"What they publish: labgen balance {name} --show",
            )
        nodes.require_another_node(stage)
        nodes.require_majority_without(stage, nodes.busiest(stage))

    def run(self, stage: Stage) -> None:
        backends.refresh(stage, [node.name for node in stage.lab.plan.balancers])
        ways, left_out = self._ways(stage)
        for each in left_out:
            stage.saw(each)
        among, victim = lanes(stage, ways), nodes.busiest(stage)
        if among[0].entrance:
            stage.saw(f"{stage.name} publishes no port in the mesh: nothing is measured beside the balancers")
        stage.tasks_now("before")
        with stage.measured(targets=in_turn(among)) as load:
            compared = Comparison(stage, among, load.rate / len(among))
            compared.watch_steady(LEAST)
            logins = Logins(stage, ways, victim)
            compared.lose(victim)
            logins.look_again()
            compared.get_back(victim)
            compared.drain()
            compared.watch_until(LEAST)
        compared.count()
        stage.tasks_now("after")

    def _ways(self, stage: Stage) -> tuple[list[Entrance], list[str]]:
        """:return: the entrances that are measured, and why others are not, in words."""
        found, left_out = entrances.found(stage)
        chosen = entrances.of_service(stage, found)
        missing = sorted({node.name for node in stage.lab.plan.balancers} - {each.node.name for each in chosen})
        return chosen, left_out + [f"{name} leads to {stage.name} at no port that is measured" for name in missing]


def _require_running_balancers(stage: Stage) -> None:
    """:raises ClusterError: one is off."""
    states = stage.lab.states()
    off = [node.name for node in stage.lab.plan.balancers if states.get(node.name) != "running"]
    if off:
        name = stage.lab.plan.name
        raise ClusterError(
            f"{name!r} is not in a steady state, from which a drill could begin",
            "\n".join(f"{each}: {states.get(each, 'missing')}" for each in off),
            f"labgen start {name}",
        )
