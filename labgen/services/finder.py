"""Services by name."""

from collections.abc import Sequence

from labgen.engine import Service
from labgen.errors import UsageError
from labgen.suggestions import near


def find(services: Sequence[Service], name: str, lab: str) -> Service:
    """:param name: the stack's name before it can be left out if only one service has it.

    :raises UsageError: there is no such service, or it is not clear which one.
    """
    exact = [each for each in services if each.name == name]
    found = exact or [each for each in services if each.stack and each.name == f"{each.stack}_{name}"]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several stacks have a service {name!r}", ", ".join(each.name for each in found))
    hint = near(name, [each.name for each in services], "services")
    raise UsageError(f"{lab!r} has no service named {name!r}", hint, f"labgen stack list {lab}")
