"""The node's role in the cluster, as seen by the node itself."""

from labgen.engine import EngineInfo
from labgen.health.base import Check, Seen, Verdict
from labgen.orchestrators import ORCHESTRATORS


class Cluster(Check):
    name = "cluster"
    asks_docker = True

    def judge(self, seen: Seen) -> Verdict | None:
        if not seen.node.is_member or not isinstance(seen.engine, EngineInfo):
            return None  # or already reported
        if complaint := ORCHESTRATORS[seen.lab.orchestrator].complaint(seen.node, seen.engine):
            return Verdict("fail", complaint, f"labgen start {seen.lab.name}")
        # Not compared with the plan: who leads is the user's to change.
        return Verdict("ok", f"is an active {'manager' if seen.engine.is_manager else 'worker'}")
