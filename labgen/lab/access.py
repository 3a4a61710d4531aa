"""Entering a lab's machines."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from labgen import paths, ssh, state
from labgen.errors import UsageError
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.suggestions import near

LOGIN_LIMIT = 30  # seconds for each stage of a login to a machine that is up


def target(lab: Lab, node: Node) -> ssh.Target:
    directory = paths.lab(lab.name)
    return ssh.Target(node.name, node.address, directory / paths.KEY, directory / paths.KNOWN_HOSTS)


def find_node(lab: Lab, name: str) -> Node:
    """:raises UsageError: the lab has no such node."""
    try:
        return lab.node(name)
    except KeyError as error:
        hint = near(name, [node.name for node in lab.nodes], "nodes")
        raise UsageError(f"the lab {lab.name!r} has no node called {name!r}", hint) from error


@contextlib.contextmanager
def entered(connect: Mapping[str, Callable[[], ssh.Connection]]) -> Iterator[dict[str, ssh.Connection]]:
    """Connections to several nodes, made in parallel and closed at the end.

    :param connect: what makes each connection, by node name.
    """
    with contextlib.ExitStack() as stack:
        yield on_each(connect, lambda make: stack.enter_context(make()))


def run(
    name: str, nodes: Sequence[str], command: Sequence[str], on_line: Callable[[str, str], None]
) -> dict[str, ssh.Result]:
    """Runs a command on nodes of a lab in parallel.

    :param nodes: names; none means all. :param on_line: called with node and line as output comes.
    :return: what each command left, by node name.
    :raises GuestError: a node does not answer.
    """
    lab = state.load(name).lab
    chosen = [find_node(lab, node) for node in nodes] or list(lab.nodes)

    def work(node: Node) -> ssh.Result:
        with ssh.Connection.open(target(lab, node), LOGIN_LIMIT) as connection:
            # No limit of ours: only the caller knows how long the command may be silent.
            return connection.run(command, limit=None, on_line=lambda line: on_line(node.name, line))

    return on_each({node.name: node for node in chosen}, work)
