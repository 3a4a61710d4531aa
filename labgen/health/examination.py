"""Runs all checks of a machine in one login: under emulation, logins are expensive."""

import shlex
import time
from collections.abc import Sequence

from labgen import engine
from labgen.engine import EngineInfo
from labgen.errors import ClusterError, GuestError
from labgen.health.base import Check, Finding, Seen, Verdict
from labgen.kinds import KINDS
from labgen.model import Lab, Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.ssh import Connection

SSH_PORT = 22
DOCKER_LIMIT = 30  # seconds for Docker to report its state
MARK = "\x1e"  # before the name of each check in the output: ASCII's record separator
CLOCK = "date +%s.%N"


def examine(lab: Lab, node: Node, connection: Connection, checks: Sequence[Check]) -> list[Finding]:
    """Asks a machine and its Docker, and judges the answers.

    :raises GuestError: the connection was lost, or the machine cannot be examined.
    """
    seen = _look(lab, node, connection, checks)
    verdicts = {check.name: _verdict(check, seen) for check in checks}
    return [
        Finding(node.name, name, verdict.status, verdict.evidence, verdict.fix)
        for name, verdict in verdicts.items()
        if verdict
    ]


def script(checks: Sequence[Check]) -> str:
    """One script for all checks. The clock comes first because its answer must not wait for others.

    A check's script cannot end the others.
    """
    parts = [CLOCK]
    for check in checks:
        parts.append(f"printf '{MARK}%s\\n' {shlex.quote(check.name)}")
        if check.script:
            parts.append(f"(\n{check.script.strip()}\n) || :")
    return "\n".join(parts) + "\n"


def _look(lab: Lab, node: Node, connection: Connection, checks: Sequence[Check]) -> Seen:
    arrived: list[float] = []
    began = time.time()
    result = connection.run(
        ["sudo", "-n", "sh", "-c", script(checks), "examine", *_places(lab, node)],
        on_line=lambda _line: arrived.append(time.time()),
    )
    clock, *sections = result.stdout.split(MARK)
    try:
        shown = float(clock)
    except ValueError as error:
        raise GuestError(f"{node.name} cannot be examined", result.tail) from error
    lines = [section.splitlines() for section in sections]
    said = {name: rest for name, *rest in lines}
    asks_docker = KINDS[node.kind].has_docker and any(check.asks_docker for check in checks)
    docker = _docker(connection) if asks_docker else None
    return Seen(lab, node, shown, (began, arrived[0]), said, docker)


def _places(lab: Lab, node: Node) -> list[str]:
    """The addresses and ports at which the other nodes should answer."""
    return [f"{other.address}:{port}" for other in lab.nodes if other != node for port in _ports(lab, other)]


def _ports(lab: Lab, node: Node) -> tuple[int, ...]:
    return (SSH_PORT, *(ORCHESTRATORS[lab.orchestrator].ports(node) if node.is_member else ()))


def _docker(connection: Connection) -> EngineInfo | ClusterError:
    try:
        with engine.connect(connection, DOCKER_LIMIT) as docker:
            return docker.info()
    except ClusterError as error:
        return error


def _verdict(check: Check, seen: Seen) -> Verdict | None:
    try:
        return check.judge(seen)
    except (ValueError, LookupError):
        evidence = f"unexpected output: {' '.join(seen.said.get(check.name, ())) or 'nothing'}"
        return Verdict("fail", evidence, f"labgen ssh {seen.lab.name} {seen.node.name}")
