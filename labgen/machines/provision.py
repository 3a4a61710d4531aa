"""Preparing machines that answer, with guest scripts."""

from collections.abc import Sequence

from labgen import paths, ssh
from labgen.errors import GuestError
from labgen.files import read_text
from labgen.model import Lab, Node, Step
from labgen.plan import doing
from labgen.progress import Progress
from labgen.ssh import Connection


def provision(
    lab: Lab, node: Node, connection: Connection, progress: Progress, steps: Sequence[Step] | None = None
) -> None:
    """Runs a node's guest scripts in order.

    :param steps: only these; default: all of the node's.
    :raises GuestError: one failed.
    """
    chosen = node.steps if steps is None else steps
    directory = paths.lab(lab.name)
    log = directory / paths.LOGS / f"{node.name}.provision.log"
    scripts = {step.script: read_text(directory / paths.GUEST_DIR / step.script) for step in chosen}
    begun: list[str] = []

    def begin(script: str) -> None:
        begun.append(script)
        progress.step(doing(script), node.name, stage=f"provision/{script}")

    with log.open("a", buffering=1) as file:  # line by line, so that users can see why it takes so long
        result = ssh.run_all(connection, scripts, chosen, begin, lambda line: file.write(f"{line}\n"))
        file.write(f"{result.stderr}== exit status {result.status}\n")
    if result.status:
        raise GuestError(
            f"{begun[-1] if begun else 'preparing'} failed on {node.name} with exit status {result.status}",
            result.tail,
            f"Its full output: {log}",
        )
