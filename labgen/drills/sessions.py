"""Clients with a cookie jar: where their requests go, one after the other."""

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from labgen.drills.entrances import Entrance, is_on
from labgen.drills.page import ask
from labgen.errors import ClusterError

VISITS = 6  # requests of one client


@dataclass(frozen=True)
class Visit:
    """Who answered one request; what the answer does not say is empty."""

    backend: str
    task: str


class Client:
    """One that keeps its cookies, as a browser does."""

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self._cookies: dict[str, str] = {}

    def visit(self) -> Visit:
        """:raises ClusterError: there is no answer."""
        page = ask(self.entrance.target, cookie="; ".join(f"{name}={value}" for name, value in self._cookies.items()))
        if page.status >= 400:
            raise ClusterError(f"{self.entrance.label} answers with status {page.status}", page.text[:200])
        for text in page.cookies:
            self._keep(text)
        return Visit(page.headers.get("x-backend", ""), short(page.headers.get("x-task", "")))

    def visits(self) -> list[Visit]:
        """Several, one after the other. :raises ClusterError: one has no answer."""
        return [self.visit() for _ in range(VISITS)]

    def _keep(self, text: str) -> None:
        try:
            self._cookies |= {name: each.value for name, each in SimpleCookie(text).items()}
        except CookieError:  # a browser would ignore it, too
            return


def client_of(entrance: Entrance, node: str) -> Client:
    """A client that stays with a backend on a node, if clients stay and one of them gets there; otherwise any.

    :raises ClusterError: there is no answer.
    """
    for _ in range(2 * len(entrance.pool.backends)):
        client = Client(entrance)
        if is_on(client.visit().backend, node):
            return client
    return client


def short(task: str) -> str:
    """Without its id: as ``hello_web.3``, which every task in its place has."""
    return task.rpartition(".")[0] or task
