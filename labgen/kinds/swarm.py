"""A manager or a worker of the lab's Swarm."""

from labgen.kinds.docker import Docker


class SwarmNode(Docker):
    name = "swarm"
    is_member = True
