"""nginx: layer 7, and layer 4 with its module "stream"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labgen.balancers.base import (
    COOKIE,
    Backend,
    Frontend,
    Health,
    Pool,
    Program,
    Site,
    State,
    words,
)
from labgen.model import Publish

CONNECT = 2  # seconds
AGAIN = 1  # seconds after which a backend that has failed is tried again
FAILED = {"502", "504", "000"}  # nginx's own answers for a backend that does not answer; or nginx itself does not
# Open-source nginx reports nothing about its backends: so it is asked to ask each of them, once.
ASK_HTTP = 'curl --silent --output /dev/null --max-time 10 --write-out "{0} %{{http_code}}\\n" http://127.0.0.1:{1}/backend/{0}'
ASK_TCP = "nc -z -w 3 {1} {2} && echo {0} open || echo {0} closed"


@dataclass(frozen=True)
class Group:
    """An ``upstream``: what one port sends to one service.

    :param method: how a backend is chosen; empty: in turn.
    """

    name: str
    service: str
    backends: tuple[Backend, ...]
    method: str = ""

    @property
    def spares(self) -> tuple[Backend, ...]:
        """Those that may take the clients of one that is lost."""
        return tuple(each for each in self.backends if not each.draining)

    def preferring(self, number: int) -> str:
        """The name of the ``upstream`` whose first choice is one of the backends."""
        return f"{self.name}.{number}"


@dataclass(frozen=True)
class Location:
    """:param path, rewrite: without a slash at the end. :param number: unlike that of any other.

    :param group: None: there is nothing to send requests to.
    """

    number: int
    path: str
    rewrite: str
    redirect: str
    service: str
    group: Group | None

    @property
    def pattern(self) -> str:
        return re.escape(self.path)


@dataclass(frozen=True)
class Server:
    """:param host: empty: any other name."""

    publish: Publish
    host: str
    locations: tuple[Location, ...]

    @property
    def known(self) -> str:
        """What there is, for those who ask for something else."""
        paths = ", ".join(f"{each.path}/" for each in self.locations)
        return f"there are: {paths}" if paths else "only for other host names"


class Nginx(Program):
    name = "nginx"
    about = "paths, hosts, TLS, cookies, access; also tcp and udp"
    main = "nginx.conf"
    layers = "4, 7"
    needs = frozenset({"nginx", "libnginx-mod-stream"})
    can = frozenset(
        {
            *("http", "https", "tcp", "udp"),
            *("routes", "rewrite", "redirect", "redirect_from"),
            *("sticky: cookie", "sticky: address", "least-connections"),
            *("allow", "users", "anonymous", "statistics"),
            "proxy_protocol with tcp",
        }
    )
    notices = f"never: {AGAIN} s after each failure one request is tried there, for {CONNECT} s, then elsewhere"

    def files(self, site: Site, version: str) -> dict[str, str]:
        web = [each for each in site.frontends if each.is_http]
        groups = {each.publish.port: _groups(each) for each in web}
        numbers = iter(range(10_000))
        values = {
            "site": site,
            "version": version,
            "cookie": COOKIE,
            "connect": CONNECT,
            "again": AGAIN,
            "groups": [group for each in groups.values() for group in each.values()],
            "servers": [server for each in web for server in _servers(each, groups[each.publish.port], numbers)],
            "sticky_groups": {
                group.name
                for each in web
                if each.publish.sticky == "cookie"
                for group in groups[each.publish.port].values()
            },
            "redirecting": [each.publish for each in web if each.publish.redirect_from],
            "relays": [
                (each.publish, _group(each.publish, each.pools[0]))
                for each in site.frontends
                if not each.is_http and each.pools and each.pools[0].backends
            ],
            "names": {re.escape(backend.place): backend.name for _, backend in _numbered(site)},
            "probes": {
                number: backend
                for number, backend in _numbered(site)
                if site.frontends[int(number.partition("-")[0])].is_http
            },
        }
        files = {self.main: self.fill(values)}
        for each in web:
            if each.publish.users:
                lines = (f"{name}:{digest}\n" for name, digest in sorted(each.publish.users.items()))
                files[f"labgen/users.{each.publish.port}"] = "".join(lines)
        return files

    def question(self, site: Site) -> str:
        lines = []
        for number, backend in _numbered(site):
            publish = site.frontends[int(number.partition("-")[0])].publish
            if publish.protocol in {"http", "https"}:
                lines.append(ASK_HTTP.format(number, site.places.control))
            elif publish.protocol == "tcp":
                lines.append(ASK_TCP.format(number, backend.address, backend.port))
        return "\n".join(lines)

    def health(self, site: Site, answer: str) -> list[Health]:
        said = dict(line.split(" ", 1) for line in answer.splitlines() if " " in line)
        found = []
        for number, backend in _numbered(site):
            frontend, pool, _ = map(int, number.split("-"))
            publish, route = site.frontends[frontend].publish, site.frontends[frontend].pools[pool]
            says = said.get(number, "")
            state: State = "unknown"
            if says:
                state = "down" if says in {*FAILED, "closed"} else "draining" if backend.draining else "up"
            text = f"answers {says}" if says.isdigit() and says not in FAILED else says
            found.append(
                Health(words(route, publish), route.service, backend.name, backend.place, state, text or "not asked")
            )
        return found


def _numbered(site: Site) -> Iterator[tuple[str, Backend]]:
    """All backends, by the numbers of frontend, pool and backend, e.g. ``0-1-2``."""
    for frontend, each in enumerate(site.frontends):
        for pool, found in enumerate(each.pools):
            for number, backend in enumerate(found.backends):
                yield f"{frontend}-{pool}-{number}", backend


def _groups(frontend: Frontend) -> dict[str, Group]:
    """By service; routes to one service share a group."""
    return {pool.service: _group(frontend.publish, pool) for pool in frontend.pools if pool.backends}


def _group(publish: Publish, pool: Pool) -> Group:
    # Not ip_hash: it looks at the first three numbers of an address only, and a lab's clients share them.
    method = "hash $binary_remote_addr consistent" if publish.sticky == "address" else ""
    if publish.algorithm == "least-connections" and not method:
        method = "least_conn"
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{publish.port}_{pool.service}")
    return Group(name, pool.service, pool.backends, method)


def _servers(frontend: Frontend, groups: dict[str, Group], numbers: Iterator[int]) -> Iterator[Server]:
    """One for each host name, and one for all others; a host has the routes without a host as well."""
    hosts = dict.fromkeys(["", *(pool.route.host for pool in frontend.pools)])
    for host in hosts:
        own = [pool for pool in frontend.pools if pool.route.host == host]
        taken = [pool.route.path for pool in own]
        general = [
            pool
            for pool in frontend.pools
            if host and not pool.route.host and not any(_is_below(pool.route.path, path) for path in taken)
        ]
        locations = (
            Location(
                next(numbers),
                pool.route.path,
                pool.route.rewrite,
                pool.route.redirect,
                pool.service,
                groups.get(pool.service),
            )
            for pool in sorted((*own, *general), key=lambda pool: -len(pool.route.path))
        )
        yield Server(frontend.publish, host, tuple(locations))


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")
