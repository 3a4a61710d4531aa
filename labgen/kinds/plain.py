"""A machine from the lab's box without any setup, for example a client outside the cluster or a load generator."""

from typing import TYPE_CHECKING

from labgen.errors import GuestError
from labgen.kinds.base import Kind
from labgen.model import Lab, Node, NodeFacts

if TYPE_CHECKING:
    from labgen.ssh import Connection


class Plain(Kind):
    name = "plain"

    def inspect(self, lab: Lab, node: Node, connection: "Connection") -> NodeFacts:
        """:raises GuestError: the machine does not run a command."""
        result = connection.run(["uname", "-r"])
        if result.status:
            raise GuestError(f"{node.name} does not report its kernel", result.tail)
        return NodeFacts(storage_driver="", backing_filesystem="", engine_version="", kernel=result.stdout.strip())
