"""HAProxy: layers 4 and 7, with health checks of its own."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labgen.balancers.base import COOKIE, Frontend, Health, Pool, Program, Site, State, words
from labgen.model import Publish

SOCKET = "haproxy/admin.sock"  # below /run
CONNECT = 2  # seconds; a check has as long, too
INTERVAL = 2  # seconds between the beginnings of two checks
FALL = 2  # checks that fail one after the other, until a backend is left out
ASK = 'echo "show stat" | nc -U -w 5 {}/' + SOCKET


@dataclass(frozen=True)
class Way:
    """A route with its ``backend``. :param number: among the port's routes."""

    name: str
    number: int
    publish: Publish
    pool: Pool

    @property
    def seen(self) -> str:
        """The beginning of the paths that the service sees, in a regular expression."""
        return re.escape(f"{self.pool.route.rewrite}/")

    @property
    def shown(self) -> str:
        """The beginning of the paths that clients see, likewise."""
        return re.escape(f"{self.pool.route.path}/")

    @property
    def is_rewritten(self) -> bool:
        return self.pool.route.path != self.pool.route.rewrite

    @property
    def method(self) -> str:
        if self.publish.sticky == "address":
            return "source"
        return "leastconn" if self.publish.algorithm == "least-connections" else "roundrobin"


class Haproxy(Program):
    name = "haproxy"
    about = "active checks, PROXY protocol, statistics; paths, hosts, TLS, cookies, access; tcp"
    main = "haproxy.cfg"
    layers = "4, 7"
    needs = frozenset({"haproxy"})
    notices = (
        f"{FALL * CONNECT}-{INTERVAL + FALL * CONNECT} s: {FALL} checks that fail, one every {INTERVAL} s, "
        f"{CONNECT} s to connect"
    )
    can = frozenset(
        {
            *("http", "https", "tcp"),
            *("routes", "rewrite", "redirect", "redirect_from"),
            *("sticky: cookie", "sticky: address", "least-connections"),
            *("allow", "users", "anonymous", "statistics", "check"),
            *("proxy_protocol with http", "proxy_protocol with tcp"),
        }
    )

    def files(self, site: Site, version: str) -> dict[str, str]:
        values = {
            "site": site,
            "version": version,
            "socket": SOCKET,
            "cookie": COOKIE,
            "connect": CONNECT,
            "interval": INTERVAL,
            "fall": FALL,
            "ports": [(each, list(_ways(each))) for each in site.frontends],
        }
        return {self.main: self.fill(values)}

    def question(self, site: Site) -> str:
        return ASK.format(site.places.run)

    def health(self, site: Site, answer: str) -> list[Health]:
        rows = csv.DictReader(answer.removeprefix("# ").splitlines())
        said = {(row.get("pxname"), row.get("svname")): row for row in rows}
        found = []
        for frontend in site.frontends:
            for way in _ways(frontend):
                for backend in way.pool.backends:
                    row = said.get((way.name, backend.name), {})
                    status = " ".join(filter(None, (row.get("status"), row.get("check_status"), row.get("last_chk"))))
                    state = _state(row.get("status") or "")
                    if state == "up" and row.get("weight") == "0":
                        state = "draining"
                    found.append(
                        Health(
                            words(way.pool, way.publish), way.pool.service, backend.name, backend.place, state, status
                        )
                    )
        return found


def _state(status: str) -> State:
    """:param status: as ``UP``, ``UP 1/2``, ``DOWN``, ``no check``."""
    first = status.partition(" ")[0]
    states: dict[str, State] = {"UP": "up", "OPEN": "up", "DOWN": "down", "MAINT": "down", "DRAIN": "draining"}
    return states.get(first, "unknown")


def _ways(frontend: Frontend) -> Iterator[Way]:
    for number, pool in enumerate(frontend.pools):
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{frontend.publish.port}_{number}_{pool.service}".rstrip("_"))
        yield Way(name, number, frontend.publish, pool)
