"""Clocks of machines that go on from saved memory: behind by as long as they were away."""

import time
from collections.abc import Collection

from labgen import ssh
from labgen.errors import GuestError
from labgen.lab.access import target
from labgen.model import Lab, Node
from labgen.parallel import on_each

ANSWER_LIMIT = 120  # seconds until a machine that goes on lets us in


def adjust(lab: Lab, nodes: Collection[str]) -> None:
    """Sets the machines' clocks to the host's.

    :param nodes: names. :raises GuestError: one does not answer, or refuses.
    """

    def set_clock(node: Node) -> None:
        with ssh.wait_for(target(lab, node), ANSWER_LIMIT, lambda: "") as connection:
            result = connection.run(["sudo", "-n", "date", "--set", f"@{time.time():.2f}"])
        if result.status:
            raise GuestError(f"{node.name}: the clock cannot be set", result.tail)

    on_each({name: lab.node(name) for name in nodes}, set_clock)
