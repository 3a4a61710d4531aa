"""A page as curl sees it: a word and its value in each line, as the stacks that come with labgen answer."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass

from labgen.errors import ClusterError
from labgen.model import Node
from labgen.traffic import Target

ANSWER_LIMIT = 20  # seconds for an answer
POLL = 1.0  # seconds


@dataclass(frozen=True)
class Page:
    """An answer. :param headers: by name, in small letters. :param cookies: what it sets, each with its attributes.

    :param sender: this host's address, which has asked.
    """

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    text: str
    sender: str

    def value(self, word: str) -> str | None:
        """What it says after a word; None: nothing."""
        for line in self.text.splitlines():
            name, _, value = line.partition(" ")
            if name == word:
                return value
        return None


@dataclass(frozen=True)
class Fact:
    """A line of a page. :param value: after the word. :param sender: this host's address, from which it was asked."""

    value: str
    sender: str


def ask(target: Target, path: str = "", *, cookie: str = "", limit: float = ANSWER_LIMIT) -> Page:
    """Requests a page, over a connection of its own.

    :param path: what follows the target's. :param cookie: what the header of that name says. :param limit: in
        seconds, between two pieces of the answer. :raises ClusterError: there is no answer.
    """
    connection = http.client.HTTPConnection(target.address, target.port, timeout=limit)
    try:
        headers = {"Host": target.named, "User-Agent": "labgen", "Connection": "close"}
        connection.request("GET", target.path + path, headers=headers | ({"Cookie": cookie} if cookie else {}))
        sender = connection.sock.getsockname()[0]
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        cookies = tuple(answer.headers.get_all("Set-Cookie", []))
        return Page(answer.status, headers, cookies, answer.read().decode(errors="replace"), sender)
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(f"{target.node} does not answer at port {target.port}", str(error)) from error
    finally:
        connection.close()


def fact(node: Node, port: int, word: str, limit: float) -> Fact:
    """What a node's page says about something, as soon as it does.

    :param limit: seconds. :raises ClusterError: it does not answer, or says nothing about it, until then.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            return _asked(Target(node.name, node.address, port), word)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)


def _asked(target: Target, word: str) -> Fact:
    page = ask(target)
    if (value := page.value(word)) is None:
        about = "\n".join(page.text.splitlines()[:5])
        raise ClusterError(f"the page at port {target.port} of {target.node} has no {word!r}", about)
    return Fact(value, page.sender)
