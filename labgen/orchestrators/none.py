"""No cluster: each node's Docker is on its own."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from labgen.model import Lab
from labgen.orchestrators.base import Membership, Orchestrator
from labgen.progress import Progress

if TYPE_CHECKING:
    from labgen.ssh import Connection


class NoOrchestrator(Orchestrator):
    name = "none"
    kind = "docker"
    needs_manager = False

    def form(
        self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress, *, empty: Collection[str]
    ) -> bool:
        return False

    def move(self, lab: Lab, connections: "Mapping[str, Connection]", progress: Progress) -> None:
        pass

    def renew_secrets(self, lab: Lab, connections: "Mapping[str, Connection]") -> None:
        pass

    def unlock(self, manager: "Connection", key: str) -> None:
        pass

    def members(self, lab: Lab, manager: "Connection") -> dict[str, Membership]:
        return {}

    def advice(self, *, managers: int, labels: bool) -> Iterator[str]:
        if labels:
            yield "labels belong to a cluster's nodes: with 'orchestrator: none' they are not used"
