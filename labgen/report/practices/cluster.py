"""Practices about the cluster and its nodes."""

from collections.abc import Iterator

from labgen.records.inspections import Inspection, Logging
from labgen.report.practices.base import Finding, Practice
from labgen.report.text import counted

# Log drivers that fill the node's own disk unless they are told not to; "local" is bounded by default.
UNBOUNDED = {"json-file", ""}


class BoundedLogs(Practice):
    """https://docs.docker.com/engine/logging/configure/"""

    title = "Logs are bounded"
    why = "Docker's default keeps all that containers print, until the node's disk is full."
    source = "https://docs.docker.com/engine/logging/configure/#configure-the-default-logging-driver"

    def check(self, inspection: Inspection) -> Finding:
        by_default = {node.name: node.logging for node in inspection.nodes if node.engine}
        unbounded = [name for name, logging in by_default.items() if logging.known and not _is_bounded(logging)]
        wrong, right = list[str](), list[str]()
        for service in inspection.services:
            if service.logging.driver:
                text = f"{service.name}: {_in_words(service.logging)}"
                (right if _is_bounded(service.logging) else wrong).append(text)
            elif unbounded:
                wrong.append(f"{service.name}: the nodes' default, which has no max-size on {', '.join(unbounded)}")
            else:
                right += [f"{service.name}: the nodes' default, {text}" for text in _defaults(by_default)]
        return self.found(wrong, right)


class OddManagers(Practice):
    """https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance"""

    title = "The number of managers is odd"
    why = "A majority has to agree: four managers survive the loss of one, as three do, and cost one more."
    source = "https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance"

    def check(self, inspection: Inspection) -> Finding:
        managers = _managers(inspection)
        text = f"{counted(len(managers), 'manager')}: {', '.join(managers)}"
        return self.found([text] if managers and len(managers) % 2 == 0 else [], [text] if managers else [])


class SpareManager(Practice):
    """https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance"""

    title = "The cluster survives the loss of a manager"
    why = "Without a majority of managers nothing can be changed, and no task is replaced."
    source = "https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance"

    def check(self, inspection: Inspection) -> Finding:
        count = len(_managers(inspection))
        text = f"{counted(count, 'manager')}: {max(0, (count - 1) // 2)} may be lost"
        return self.found([text] if 0 < count < 3 else [], [text] if count else [])


def _managers(inspection: Inspection) -> list[str]:
    return [node.name for node in inspection.nodes if node.role == "manager"]


def _is_bounded(logging: Logging) -> bool:
    return logging.driver not in UNBOUNDED or "max-size" in logging.options


def _in_words(logging: Logging) -> str:
    options = ", ".join(f"{name}={value}" for name, value in logging.options.items())
    return f"{logging.driver or 'json-file'}{f' ({options})' if options else ', no max-size'}"


def _defaults(by_default: dict[str, Logging]) -> Iterator[str]:
    known = {_in_words(logging) for logging in by_default.values() if logging.known}
    yield from sorted(known)
