"""Managers that need a key after a restart."""

from dataclasses import replace

from labgen import engine
from labgen.drills import nodes
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.engine import EngineInfo
from labgen.errors import ClusterError, UsageError
from labgen.orchestrators import ORCHESTRATORS
from labgen.records.changes import Change

RESTART_LIMIT = 300  # seconds
UNLOCK_LIMIT = 120  # seconds until an unlocked manager takes part again
LOCKED = "locked"


class Autolock(Drill):
    name = "autolock"
    about = "A manager restarts with autolock on, and is unlocked"
    hypothesis = (
        "A manager that restarts is locked until it gets the key; the service goes on answering on the others."
    )

    def refuse(self, stage: Stage) -> None:
        nodes.require_another_node(stage)
        if stage.there.engine.unlock_key():
            raise UsageError(f"the managers of {stage.lab.plan.name!r} are locked already when they restart")
        managers = [node.hostname for node in stage.look().nodes if node.role == "manager"]
        if len(managers) < 3 and not stage.force:
            raise UsageError(
                f"while a manager of {stage.lab.plan.name!r} is locked, the cluster cannot be changed",
                f"managers: {', '.join(managers)}",
                "To do it nevertheless, add --force.",
            )

    def run(self, stage: Stage) -> None:
        view = stage.look()
        managers = sorted((node for node in view.nodes if node.role == "manager"), key=lambda node: node.leader)
        name = next(
            (each.hostname for each in managers if each.hostname in stage.there.running), managers[0].hostname
        )
        stage.tasks_now("before")
        with stage.measured(without=[name]):
            moment = stage.now()
            key = self._lock(stage, name)
            self._restart_docker(stage, name)
            state = self._info(stage, name).swarm_state
            stage.saw(f"{name} says: {state}", state, f"{name}$ docker info --format '{{{{.Swarm.LocalNodeState}}}}'")
            stage.check(f"{name} is locked after its restart", state == LOCKED, state)
            measured = stage.since(moment)
            silent = measured.silent_seconds()
            stage.number("requests lost meanwhile", len(measured.failures), unit="")
            stage.check("the service goes on answering", not silent, f"{len(silent)} seconds without an answer")
            connection = stage.there.connection(name)
            unlock = ORCHESTRATORS[stage.lab.plan.orchestrator].unlock
            stage.act(f"unlocking {name}", "docker swarm unlock", lambda: unlock(connection, key), on=name)
            back = stage.until(f"{name} takes part again", nodes.is_ready(stage, name), UNLOCK_LIMIT)
            stage.check(f"{name} is ready again with the key", back is not None)
            stage.act("switching autolock off again", "docker swarm update --autolock=false", stage.put_back, on=name)
            stage.until("all tasks run", nodes.all_run(stage), nodes.RUN_LIMIT)
            stage.tasks_now("after")

    def _lock(self, stage: Stage, name: str) -> str:
        """Switches autolock on. :return: the key, which is written down first: without it the Swarm would be lost."""
        docker = stage.there.engine
        command = "docker swarm update --autolock=true"
        change = Change("autolock", name)
        stage.act("switching autolock on", command, lambda: docker.set_autolock(locked=True), change, on=name)
        key = docker.unlock_key()
        stage.keep(replace(change, former=key))
        return key

    def _restart_docker(self, stage: Stage, name: str) -> None:
        def restart() -> None:
            command = ["sudo", "-n", "systemctl", "restart", "docker.service"]
            result = stage.there.connection(name).run(command, limit=RESTART_LIMIT)
            if result.status:
                raise ClusterError(f"Docker does not restart on {name}", result.tail)

        stage.act(f"restarting Docker on {name}", "sudo systemctl restart docker", restart, on=name)

    def _info(self, stage: Stage, name: str) -> EngineInfo:
        """What its engine says. Over a new connection: the restart has ended the others."""
        with engine.connect(stage.there.connection(name)) as docker:
            return docker.info()
