"""A lab's load balancers: they are given the backends that the cluster has now, if their programs accept that."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labgen import paths
from labgen.balancers import BALANCERS, Frontend, Health, Site
from labgen.balancers.backends import Seen, frontends
from labgen.balancers.base import Places, names, ports
from labgen.errors import ClusterError, GuestError
from labgen.files import read_text, write_atomically
from labgen.machines import access
from labgen.machines.provision import provision
from labgen.model import Balancer, Lab, Node, Step
from labgen.parallel import on_each
from labgen.plan import BALANCER, CERTIFICATE, has_https
from labgen.progress import Progress
from labgen.records import balancers
from labgen.records.balancers import Applied
from labgen.render import write
from labgen.ssh import Connection, Unreachable

if TYPE_CHECKING:
    from labgen.engine import Engine

LIMIT = 120  # seconds without any output
CHANGED = "changed"  # printed by balancer.sh
REFUSED, ROLLED_BACK = 3, 4  # its exit statuses; see there
KEY_GROUP = "root"  # whom a certificate's key is for: the programs read it before they give up their rights
SHOW = "cat -- /etc/labgen/balancer/current/{}"


@dataclass(frozen=True)
class Outcome:
    """:param changed: the balancers that got another configuration.

    :param complaints: routes that lead nowhere, by balancer: a sentence for each.
    """

    changed: tuple[str, ...]
    complaints: Mapping[str, list[str]]


@dataclass(frozen=True)
class State:
    """A balancer now. :param config: the main file, as it is in use. :param applied: None: it never got one."""

    balancer: str
    program: str
    applied: Applied | None
    config: str
    health: tuple[Health, ...]
    complaints: tuple[str, ...] = ()


def look(lab: Lab, docker: "Engine | None") -> Seen:
    """What the cluster has. :param docker: a manager's; None: there is none, and no service has a backend.

    :raises ClusterError: it does not answer. :raises LabgenError: the record of drained nodes is damaged.
    """
    addresses = {node.name: node.address for node in lab.members}
    drained = balancers.load(lab.name).drained
    if docker is None:
        return Seen((), (), (), addresses, drained)
    services, nodes = docker.services.listed(), docker.swarm_nodes()
    return Seen(services, nodes, docker.services.tasks(), addresses, drained)


def configure(
    lab: Lab, seen: Seen, connections: Mapping[str, Connection], why: str, progress: Progress, *, renew: bool = False
) -> Outcome:
    """Gives the balancers their configurations; those that have it already are left alone.

    :param connections: to the balancers, by name. :param why: the command.
    :param renew: others may know the keys of their certificates: make other ones.
    :raises GuestError: a program does not accept its configuration, or does not run with it; it goes on as before.
    """
    complaints: dict[str, list[str]] = {}

    def one(connection: Connection) -> str:
        """:return: the version that is new, or nothing."""
        node = lab.node(connection.target.name)
        found, complaints[node.name] = frontends(_settings(node), seen)
        site = _certified(lab, _site(lab, node, found), connection, progress, renew=renew)
        return _apply(lab, site, connection, progress)

    versions = on_each(connections, one)
    _keep_authorities(lab, connections)
    new = {name: version for name, version in versions.items() if version}
    if new:
        record, moment = balancers.load(lab.name), datetime.now(UTC).isoformat(timespec="seconds")
        applied = {name: Applied(version, moment, why) for name, version in new.items()}
        balancers.save(lab.name, replace(record, applied={**record.applied, **applied}))
    return Outcome(tuple(new), {name: found for name, found in complaints.items() if found})


def states(lab: Lab, seen: Seen, connections: Mapping[str, Connection]) -> list[State]:
    """Asks the balancers. :raises GuestError: one does not answer, or has no configuration yet."""
    record = balancers.load(lab.name)

    def one(connection: Connection) -> State:
        node = lab.node(connection.target.name)
        program = BALANCERS[_settings(node).program]
        found, complaints = frontends(_settings(node), seen)
        site = _site(lab, node, found)
        config = connection.run(["sudo", "-n", "sh", "-c", SHOW.format(program.main)])
        if config.status:
            raise GuestError(
                f"{node.name} has not been configured yet", config.tail, f"First: labgen balance {lab.name}"
            )
        answer = connection.run(["sudo", "-n", "sh", "-c", program.question(site)], limit=LIMIT).stdout
        health = tuple(program.health(site, answer))
        return State(node.name, program.name, record.applied.get(node.name), config.stdout, health, tuple(complaints))

    return list(on_each(connections, one).values())


def drain(lab: Lab, node: str, *, draining: bool) -> None:
    """Notes whether a node is to get new clients; :func:`configure` then tells the balancers."""
    record = balancers.load(lab.name)
    drained = {*record.drained, node} if draining else {*record.drained} - {node}
    balancers.save(lab.name, replace(record, drained=tuple(sorted(drained))))


@contextmanager
def managing(connections: Mapping[str, Connection]) -> Iterator["Engine | None"]:
    """The first engine that manages the cluster and has a leader; None: there is none.

    :param connections: to the members, by name.
    """
    from labgen import engine  # noqa: PLC0415 - the SDK takes a fifth of a second, and most labs have no balancer

    with ExitStack() as stack:
        for connection in connections.values():
            with suppress(ClusterError):
                docker = stack.enter_context(engine.connect(connection))
                if docker.info().is_manager:
                    docker.swarm_nodes()
                    break
        else:
            docker = None
        yield docker


@contextmanager
def entered(lab: Lab, note: Callable[[str], None]) -> Iterator[dict[str, Connection]]:
    """Connections to the balancers, by name. :param note: called with those that do not answer, in words.

    :raises GuestError: none answers.
    """
    with ExitStack() as stack:
        found: dict[str, Connection] = {}
        for node in lab.balancers:
            try:
                opened = Connection.open(access.target(lab, node), access.LOGIN_LIMIT)
                found[node.name] = stack.enter_context(opened)
            except Unreachable as error:
                if node is lab.balancers[-1] and not found:
                    raise
                note(f"{node.name} is as it was: {error.brief}; later: labgen balance {lab.name}")
        yield found


def _settings(node: Node) -> Balancer:
    assert node.balancer  # noqa: S101 - only balancers are asked
    return node.balancer


def _site(lab: Lab, node: Node, found: tuple[Frontend, ...]) -> Site:
    return Site(lab.name, node.name, node.address, lab.network.subnet, _settings(node), found)


def _certified(lab: Lab, site: Site, connection: Connection, progress: Progress, *, renew: bool) -> Site:
    """The site with a certificate for all its names, if it needs one."""
    wanted = names(site)
    if not wanted:
        return site
    place = Places().tls
    text = ", ".join(f"{'IP' if each == site.address else 'DNS'}:{each}" for each in wanted)
    read = ["sudo", "-n", "cat", f"{place}/for", f"{place}/server.crt"]
    found = connection.run(read)
    if renew or found.status or not found.stdout.startswith(f"{text}\n"):
        script = {f"{paths.GUEST_DIR}/{CERTIFICATE}": read_text(paths.guest_scripts() / CERTIFICATE)}
        write(script, paths.lab(lab.name))  # the lab may have had no https when it was created
        arguments = (place, KEY_GROUP, f"labgen CA of {site.name}", *wanted, *(["new"] if renew else []))
        provision(lab, lab.node(site.name), connection, progress, [Step(CERTIFICATE, arguments)])
        found = connection.run(read)
    return replace(site, certificate=hashlib.sha256(found.stdout.encode()).hexdigest()[:12])


def _apply(lab: Lab, site: Site, connection: Connection, progress: Progress) -> str:
    """:return: the configuration's version; empty: it was in use already.

    :raises GuestError: the program does not accept it, or does not run with it.
    """
    program = BALANCERS[site.settings.program]
    rendered = program.render(site)
    progress.step("checking its configuration", site.name, stage="balance")
    script = read_text(paths.guest_scripts() / BALANCER)  # not the lab's: it has to know what is rendered here
    command = ["sudo", "-n", "sh", "-c", script, "sh", program.name, rendered.version, *ports(site)]
    result = connection.run(command, stdin=_archive(rendered.files), limit=LIMIT)
    if result.status == REFUSED:
        raise GuestError(
            f"{program.name} on {site.name} does not accept its configuration, and goes on with the former one",
            result.tail,
            "Change what the profile publishes, or report this: labgen should not have written it.",
        )
    if result.status == ROLLED_BACK:
        raise GuestError(
            f"{program.name} on {site.name} does not run with its new configuration; it has the former one again",
            result.tail,
            f"Its log: labgen exec {lab.name} --node {site.name} -- sudo journalctl -u {program.name} -n 50",
        )
    if result.status:
        raise GuestError(f"{site.name} cannot be configured", result.tail)
    changed = result.stdout.strip() == CHANGED
    if changed:
        progress.done("has its backends", site.name, stage="balance")
    return rendered.version if changed else ""


def _archive(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o640
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _keep_authorities(lab: Lab, connections: Mapping[str, Connection]) -> None:
    """Copies the certificates of the balancers' CAs to this host, for browsers and curl."""
    with_https = {name: each for name, each in connections.items() if has_https(lab.node(name))}
    found = on_each(with_https, lambda each: each.run(["sudo", "-n", "cat", f"{Places().tls}/ca.crt"]))
    texts = [each.stdout.strip() for each in found.values() if not each.status]
    if texts:
        write_atomically(paths.lab(lab.name) / paths.BALANCER_CA, "\n".join(texts) + "\n", 0o644)
