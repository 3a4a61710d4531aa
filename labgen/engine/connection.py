"""The way to an engine: its socket, through our connection to its machine."""

import contextlib
from collections.abc import Iterator

import docker

from labgen.engine.engine import Engine
from labgen.ssh import Connection

SOCKET = "/run/docker.sock"
# The version of Docker 20.10, the oldest engine in a box; engines up to 28 accept it. Negotiating one costs a call.
API_VERSION = "1.41"
LIMIT = 180  # seconds for one call; joining a Swarm is one, and emulated machines are slow


@contextlib.contextmanager
def connect(connection: Connection, limit: float = LIMIT) -> Iterator[Engine]:
    """The engine of a machine, reached through our connection to it. Only the first call shows whether it answers.

    :param limit: seconds for one call.
    """
    with connection.forwarded(SOCKET) as socket:
        client = docker.DockerClient(f"unix://{socket}", version=API_VERSION, timeout=int(limit))
        with contextlib.closing(client):
            yield Engine(connection.target.name, client)
