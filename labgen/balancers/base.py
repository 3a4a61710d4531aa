"""The interface of a load balancer's program, and what its configuration is rendered from."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from labgen import paths
from labgen.model import Balancer, Publish, Route
from labgen.templating import filled

SSH_PORT = 22
CONTROL_PORT = 9909  # of a program that is asked about itself over TCP; on the loopback interface only
RESERVED = {SSH_PORT: "the machine's own SSH has it", CONTROL_PORT: "labgen asks the balancer there"}
COOKIE = "labgen_backend"  # names the backend that a client stays with

# What a program may be able to do, in words.
ABILITIES = {
    "http": "http",
    "https": "https",
    "tcp": "tcp",
    "udp": "udp",
    "routes": "routes by path and host name",
    "rewrite": "another path for the service",
    "redirect": "a redirect to another path",
    "redirect_from": "a redirect from http to https",
    "sticky: cookie": "clients that stay by a cookie",
    "sticky: address": "clients that stay by their address",
    "least-connections": "the backend with the fewest connections",
    "allow": "a list of the networks that get in",
    "users": "users who have to log in",
    "proxy_protocol with http": "the PROXY protocol with http",
    "proxy_protocol with tcp": "the PROXY protocol with tcp",
    "proxy_protocol with udp": "the PROXY protocol with udp",
    "check": "a path that it requests itself",
    "anonymous": "headers that say who answered, or not",
    "statistics": "a page of statistics",
}

State = Literal["up", "down", "draining", "unknown"]


@dataclass(frozen=True)
class Backend:
    """Where requests are sent.

    :param name: the node's, or ``worker1:shop_web.2`` for a task. :param draining: gets no new clients.
    """

    name: str
    node: str
    address: str
    port: int
    draining: bool = False

    @property
    def place(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Pool:
    """A route and its backends.

    :param service: its full name and its port, as ``shop_web:8080``; empty: the route only redirects.
    """

    route: Route
    service: str = ""
    backends: tuple[Backend, ...] = ()


@dataclass(frozen=True)
class Frontend:
    """A port with its routes, the most specific first."""

    publish: Publish
    pools: tuple[Pool, ...]

    @property
    def is_http(self) -> bool:
        return self.publish.protocol in {"http", "https"}


@dataclass(frozen=True)
class Places:
    """In the machine. :param tls: the directory of the certificate. :param control: see :data:`CONTROL_PORT`."""

    run: str = "/run"
    tls: str = "/etc/labgen/balancer/tls"
    log: str = "/var/log"
    control: int = CONTROL_PORT


@dataclass(frozen=True)
class Site:
    """Everything that a configuration is rendered from.

    :param name: the balancer's. :param subnet: the lab's, in CIDR notation.
    :param certificate: a digest of its certificate, so that another one makes another configuration.
    """

    lab: str
    name: str
    address: str
    subnet: str
    settings: Balancer
    frontends: tuple[Frontend, ...] = ()
    certificate: str = ""
    places: Places = field(default_factory=Places)


@dataclass(frozen=True)
class Rendered:
    """:param version: a digest by which the running program tells which configuration it has.

    :param files: by path relative to the configuration's directory.
    """

    version: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Health:
    """A backend as the program reports it.

    :param route: what is sent to it, in words. :param says: in the program's own words.
    """

    route: str
    service: str
    backend: str
    address: str
    state: State
    says: str


class Program(ABC):
    """A program that balances load.

    A new one is a sibling module with a subclass, a template, and a line in :data:`labgen.balancers.BALANCERS`.

    ``main``: the file that it begins with. ``layers``: of the network model. ``needs``: Debian packages in the
    machine's box. ``can``: what it can do of :data:`labgen.balancers.ABILITIES`. ``about``: a line for users.
    ``notices``: when it sends nothing more to a node that is gone, as its own settings have it, in words.
    """

    name: str
    about: str
    main: str
    layers: str
    needs: frozenset[str]
    can: frozenset[str]
    notices: str

    def render(self, site: Site) -> Rendered:
        """The same input gives the same files, and another input another version."""
        content = json.dumps(self.files(site, ""), sort_keys=True)
        version = hashlib.sha256(content.encode()).hexdigest()[:12]
        return Rendered(version, self.files(site, version))

    @abstractmethod
    def files(self, site: Site, version: str) -> dict[str, str]:
        """The configuration; see :class:`Rendered`."""

    @abstractmethod
    def question(self, site: Site) -> str:
        """A shell script that asks the running program about the backends, run as root in the machine."""

    @abstractmethod
    def health(self, site: Site, answer: str) -> list[Health]:
        """:param answer: what :meth:`question` printed; may lack anything."""

    def fill(self, values: Mapping[str, object]) -> str:
        """Fills the program's template."""
        return filled(paths.balancer_template(self.name).read_text(), values)


def precision(route: Route) -> tuple[bool, int]:
    """For sorting routes, the most specific first: those for a host, and those with longer paths."""
    return not route.host, -len(route.path)


def names(site: Site) -> list[str]:
    """What a balancer's certificate is for: its own name and address, and the hosts that it serves over https."""
    https = [each.publish for each in site.frontends if each.publish.protocol == "https"]
    hosts = {route.host for publish in https for route in publish.routes if route.host}
    return [site.name, site.address, *sorted(hosts)] if https else []


def ports(site: Site) -> list[str]:
    """All ports that a balancer listens on, as ``80/tcp``."""
    found = [f"{each.publish.port}/{'udp' if each.publish.protocol == 'udp' else 'tcp'}" for each in site.frontends]
    found += [f"{each.publish.redirect_from}/tcp" for each in site.frontends if each.publish.redirect_from]
    return found + ([f"{site.settings.statistics}/tcp"] if site.settings.statistics else [])


def words(pool: Pool, publish: Publish) -> str:
    """A route as users see it, e.g. ``80 staff.lab/app1``."""
    path = f"{pool.route.path}/" if pool.route.path or pool.route.host else ""
    return f"{publish.port}/{publish.protocol} {pool.route.host}{path}".strip()
