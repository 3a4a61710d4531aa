"""A page as curl sees it: a word and its value in each line, as the stacks that come with labgen answer."""

import http.client
import time
from dataclasses import dataclass

from labgen.errors import ClusterError
from labgen.model import Node

ANSWER_LIMIT = 20  # seconds for an answer
POLL = 1.0  # seconds


@dataclass(frozen=True)
class Fact:
    """A line of a page. :param value: after the word. :param sender: this host's address, from which it was asked."""

    value: str
    sender: str


def fact(node: Node, port: int, word: str, limit: float) -> Fact:
    """What a node's page says about something, as soon as it does.

    :param limit: seconds. :raises ClusterError: it does not answer, or says nothing about it, until then.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            return _asked(node, port, word)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)


def _asked(node: Node, port: int, word: str) -> Fact:
    connection = http.client.HTTPConnection(node.address, port, timeout=ANSWER_LIMIT)
    try:
        connection.request("GET", "/")
        sender = connection.sock.getsockname()[0]
        lines = connection.getresponse().read().decode(errors="replace").splitlines()
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(f"{node.name} does not answer at port {port}", str(error)) from error
    finally:
        connection.close()
    for line in lines:
        name, _, value = line.partition(" ")
        if name == word:
            return Fact(value, sender)
    raise ClusterError(f"the page at port {port} of {node.name} has no {word!r}", "\n".join(lines[:5]))
