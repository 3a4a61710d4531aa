"""New join tokens and new certificates."""

import hashlib

from labgen.drills import nodes
from labgen.drills.base import Drill
from labgen.drills.outage import QUIET
from labgen.drills.stage import Stage
from labgen.errors import GuestError
from labgen.orchestrators import ORCHESTRATORS
from labgen.parallel import on_each

ROLES = ("manager", "worker")


class Rotate(Drill):
    name = "rotate"
    about = "New join tokens, and new certificates for all nodes"
    hypothesis = "The former tokens are worth nothing, every node gets a new certificate, and no request is lost."

    def run(self, stage: Stage) -> None:
        stage.tasks_now("before")
        former = self._certificates(stage)
        with stage.measured():
            moment = stage.now()
            tokens = stage.there.engine.join_tokens()
            for role in ROLES:
                words = ["swarm", "join-token", "--rotate", "--quiet", role]
                stage.docker(f"a new token for a {role}", *words, secret=True)
            new = stage.there.engine.join_tokens()
            stage.docker("a new certificate authority", "swarm", "ca", "--rotate", "--quiet")
            stage.number("certificates renewed after", stage.now() - moment)
            ready = stage.until("all nodes are ready", nodes.all_ready, nodes.NOTICE_LIMIT)
            stage.wait(QUIET, "watching the answers")
            lost = stage.since(moment).failures
        for role in ROLES:
            stage.check(f"the token for a {role} is another one", tokens.of(role) != new.of(role))
        renewed = [name for name, digest in self._certificates(stage).items() if former[name] != digest]
        stage.check("every node has a new certificate", len(renewed) == len(former), ", ".join(renewed))
        stage.check("all nodes are ready", ready is not None)
        stage.check_none_lost(lost)

    def _certificates(self, stage: Stage) -> dict[str, str]:
        """A digest of each node's certificate, by the node's name."""
        path = ORCHESTRATORS[stage.lab.plan.orchestrator].certificate

        def digest(name: str) -> str:
            result = stage.there.connection(name).run(["sudo", "-n", "cat", path])
            if result.status:
                raise GuestError(f"{name}: its certificate cannot be read", result.tail)
            return hashlib.sha256(result.stdout.encode()).hexdigest()

        return on_each({node.name: node.name for node in stage.members()}, digest)
