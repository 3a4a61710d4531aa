"""What a service sees as its client's address."""

import http.client
import time
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from labgen.drills import extras
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.errors import ClusterError
from labgen.model import Node
from labgen.orchestrators.swarm_words import OVERLAY_POOL

MESH, HOST = "labgen-drill-mesh", "labgen-drill-host"
PORTS = {MESH: 18080, HOST: 18081}
LIMIT = 20  # seconds for an answer
MESH_LIMIT = 60  # seconds until a node forwards a port that is new
POLL = 1.0  # seconds


@dataclass(frozen=True)
class Seen:
    """:param client: the address that the service saw. :param own: the one that this host sent from."""

    node: str
    client: str
    own: str


class ClientAddress(Drill):
    name = "client-address"
    about = "The client's address, seen through the mesh and at a node's port"
    hypothesis = (
        "Through the mesh a service sees an address of a node's ingress network and not its client's; at a port of "
        "the node itself it sees the client's."
    )
    needs_service = False

    def run(self, stage: Stage) -> None:
        image = extras.bring_image(stage)
        published = {
            MESH: ["--publish", f"published={PORTS[MESH]},target=80"],
            HOST: ["--mode", "global", "--publish", f"published={PORTS[HOST]},target=80,mode=host"],
        }
        seen = {}
        for name, options in published.items():
            extras.make_service(stage, name, options, image)
            seen[name] = [self._ask(node, PORTS[name]) for node in stage.members()]
            for each in seen[name]:
                url = f"http://{stage.lab.plan.node(each.node).address}:{PORTS[name]}/"
                stage.saw(f"{name} on {each.node} sees {each.client}", each.client, f"host$ curl {url}")
        own = seen[MESH][0].own
        ingress = ip_network(OVERLAY_POOL)
        stage.check(
            "through the mesh the client's address is lost",
            all(ip_address(each.client) in ingress for each in seen[MESH]),
            f"the client has {own}; seen: {', '.join(each.client for each in seen[MESH])}",
        )
        stage.check(
            "at a port of the node itself it is seen",
            all(each.client == each.own for each in seen[HOST]),
            f"seen: {', '.join(each.client for each in seen[HOST])}",
        )

    def _ask(self, node: Node, port: int) -> Seen:
        """As soon as the node answers. :raises ClusterError: it does not, or does not say which address it sees."""
        deadline = time.monotonic() + MESH_LIMIT
        while True:
            try:
                return self._answer(node, port)
            except ClusterError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL)

    def _answer(self, node: Node, port: int) -> Seen:
        connection = http.client.HTTPConnection(node.address, port, timeout=LIMIT)
        try:
            connection.request("GET", "/")
            own = connection.sock.getsockname()[0]
            lines = connection.getresponse().read().decode(errors="replace").splitlines()
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(f"{node.name} does not answer at port {port}", str(error)) from error
        finally:
            connection.close()
        for line in lines:
            word, _, value = line.partition(" ")
            if word == "client":
                return Seen(node.name, value.removeprefix("::ffff:"), own)
        raise ClusterError(f"{node.name} does not say which address it sees", "\n".join(lines[:5]))
