"""Clocks of machines that resume from saved memory: they are behind by the time the machines were off."""

from collections.abc import Collection

from labgen import ssh
from labgen.errors import GuestError
from labgen.machines.access import target
from labgen.model import Lab, Node
from labgen.parallel import on_each

ANSWER_LIMIT = 120  # seconds until a resumed machine accepts a login
# The machine's hardware clock is QEMU's and follows the host's; it counts whole seconds, so the clock is set at its
# next tick. Reading it inside the machine is exact, however slowly the machine answers us.
FROM_HARDWARE = """
clock=/sys/class/rtc/rtc0/since_epoch
read -r now <$clock
next=$now
while [ "$next" = "$now" ]; do read -r next <$clock; done
date --set "@$next"
"""


def adjust(lab: Lab, nodes: Collection[str]) -> None:
    """Sets the machines' clocks to the host's.

    :param nodes: names. :raises GuestError: one does not answer, or refuses.
    """

    def enter_and_set(node: Node) -> None:
        with ssh.wait_for(target(lab, node), ANSWER_LIMIT, lambda: "") as connection:
            set_clock(connection)

    on_each({name: lab.node(name) for name in nodes}, enter_and_set)


def set_clock(connection: ssh.Connection) -> None:
    """:raises GuestError: the machine refuses."""
    result = connection.run(["sudo", "-n", "sh", "-ec", FROM_HARDWARE])
    if result.status:
        raise GuestError(f"{connection.target.name}: the clock cannot be set", result.tail)
