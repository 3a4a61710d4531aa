"""From what runs in a cluster to a balancer's backends. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labgen.balancers.base import Backend, Frontend, Pool, precision
from labgen.model import Balancer, Publish, Route
from labgen.suggestions import near

if TYPE_CHECKING:
    from labgen.engine import Port, Service, SwarmNode, Task


@dataclass(frozen=True)
class Seen:
    """What runs in a cluster at one moment.

    :param addresses: of the lab's nodes, by name. :param drained: the nodes that get no new clients.
    """

    services: Sequence["Service"]
    nodes: Sequence["SwarmNode"]
    tasks: Sequence["Task"]
    addresses: Mapping[str, str]
    drained: Collection[str] = ()


class NoBackends(Exception):
    """A route leads nowhere; the reason, in words."""


def frontends(balancer: Balancer, seen: Seen) -> tuple[tuple[Frontend, ...], list[str]]:
    """:return: the ports with their backends, and why routes lead nowhere: a sentence for each."""
    found, complaints = [], []
    for publish in balancer.publish:
        pools = []
        for route in sorted(publish.routes, key=precision):
            try:
                pools.append(_pool(publish, route, seen))
            except NoBackends as why:
                pools.append(Pool(route, route.service or "a service"))
                complaints.append(f"port {publish.port}{_place(route)}: {why}")
        found.append(Frontend(publish, tuple(pools)))
    return tuple(found), complaints


def _place(route: Route) -> str:
    return f", {route.host}{route.path}" if route.host or route.path else ""


def _pool(publish: Publish, route: Route, seen: Seen) -> Pool:
    if route.redirect:
        return Pool(route)
    service = _service(publish, route, seen)
    port = _port(publish, route, service)
    nodes = [each for each in seen.nodes if each.state == "ready" and each.hostname in seen.addresses]
    if publish.direct:
        backends = _tasks(service, port, nodes, seen)
        if not backends:
            raise NoBackends(f"no task of {service.name} runs")
    else:
        backends = [
            Backend(
                node.hostname,
                node.hostname,
                seen.addresses[node.hostname],
                port.published,
                node.hostname in seen.drained,
            )
            for node in nodes
            if node.availability != "drain"
        ]
    return Pool(route, f"{service.name}:{port.published or port.target}", tuple(sorted(backends, key=_order)))


def _order(backend: Backend) -> tuple[int, str]:
    return len(backend.name), backend.name  # worker2 before worker10


def _service(publish: Publish, route: Route, seen: Seen) -> "Service":
    name = route.service.partition(":")[0]
    if not name:
        published = [each for each in seen.services if _fitting(publish, each)]
        if len(published) == 1:
            return published[0]
        names = ", ".join(each.name for each in published)
        raise NoBackends(
            f"several services can be meant: {names}; name one" if published else "no service publishes a port yet"
        )
    exact = [each for each in seen.services if each.name == name]
    found = exact or [each for each in seen.services if each.stack and each.name == f"{each.stack}_{name}"]
    if len(found) > 1:
        raise NoBackends(f"several stacks have a service {name}: {', '.join(each.name for each in found)}")
    if not found:
        hint = near(name, [each.name for each in seen.services], "services").rstrip(".")
        raise NoBackends(f"there is no service {name}. {hint}")
    return found[0]


def _fitting(publish: Publish, service: "Service") -> list["Port"]:
    protocol = "udp" if publish.protocol == "udp" else "tcp"
    mode = "host" if publish.direct else "ingress"
    return [each for each in service.ports if (each.protocol, each.mode) == (protocol, mode)]


def _port(publish: Publish, route: Route, service: "Service") -> "Port":
    ports, wanted = _fitting(publish, service), route.service.partition(":")[2]
    if not ports:
        raise NoBackends(_why_none(publish, service))
    if wanted:
        found = [each for each in ports if wanted in {str(each.published), str(each.target)}]
        if not found:
            raise NoBackends(f"{service.name} does not publish port {wanted}, but {_listed(ports)}")
        return found[0]
    if len(ports) > 1:
        raise NoBackends(f"{service.name} publishes several ports: {_listed(ports)}; name one with the service")
    return ports[0]


def _why_none(publish: Publish, service: "Service") -> str:
    others = [each for each in service.ports if (each.protocol == "udp") == (publish.protocol == "udp")]
    if publish.direct and others:
        return (
            f"{service.name} publishes its port through the mesh, and its tasks have only addresses of an overlay "
            "network, which the balancer is not part of; publish the port with 'mode: host', or leave out 'direct'"
        )
    if others:
        return f"{service.name} publishes its port with 'mode: host': set 'direct: true'"
    return f"{service.name} publishes no {'udp' if publish.protocol == 'udp' else 'tcp'} port"


def _listed(ports: Sequence["Port"]) -> str:
    return ", ".join(str(each.published or each.target) for each in ports)


def _tasks(service: "Service", port: "Port", nodes: Sequence["SwarmNode"], seen: Seen) -> list[Backend]:
    """The running tasks with their ports on their nodes. Docker may choose those ports, a different one for each."""
    hostnames = {node.id: node.hostname for node in nodes}
    found = []
    for task in seen.tasks:
        if task.service_id != service.id or (task.state, task.desired_state) != ("running", "running"):
            continue
        node = hostnames.get(task.node_id)
        published = port.published or (task.host_ports[0] if len(task.host_ports) == 1 else 0)
        if node and published:
            name = f"{node}:{service.name}.{task.slot or task.node_id[:6]}"
            found.append(Backend(name, node, seen.addresses[node], published, node in seen.drained))
    return found
