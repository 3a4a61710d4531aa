"""Docker: whether it answers, and whether it uses the storage driver of the profile."""

from labgen.engine import EngineInfo
from labgen.errors import ClusterError
from labgen.health.base import Check, Seen, Verdict
from labgen.storage import DRIVERS

LOG = "sudo journalctl -u docker -n 50"


class Docker(Check):
    name = "docker"
    asks_docker = True

    def judge(self, seen: Seen) -> Verdict | None:
        if isinstance(seen.engine, ClusterError):
            return Verdict("fail", "does not answer", seen.command(LOG))
        return Verdict("ok", f"answers, version {seen.engine.version}") if seen.engine else None


class Storage(Check):
    name = "storage"
    asks_docker = True

    def judge(self, seen: Seen) -> Verdict | None:
        if not isinstance(seen.engine, EngineInfo):
            return None  # already reported, or there is no Docker
        storage = seen.engine.storage
        if complaint := DRIVERS[seen.lab.storage_driver].complaint(storage):
            return Verdict("fail", complaint, seen.command(LOG))
        return Verdict("ok", f"{storage.driver} on {storage.backing_filesystem}")
