"""What a service sees as its client's address."""

from labgen.drills import entrances, extras
from labgen.drills.base import Drill
from labgen.drills.entrances import Entrance
from labgen.drills.page import Fact, ask, fact
from labgen.drills.stage import Stage
from labgen.errors import ClusterError

MESH, HOST = "labgen-drill-mesh", "labgen-drill-host"
PORTS = {MESH: 18080, HOST: 18081}
MESH_LIMIT = 60  # seconds until a node forwards a port that is new
NOTHING = "nothing"  # what the page says if no header has told the client's address


class ClientAddress(Drill):
    name = "client-address"
    about = "The client's address through mesh, node's port, load balancers"
    hypothesis = (
        "Through the mesh a service sees another address than its client's; at a port of the node itself it sees the "
        "client's; behind a load balancer it sees another one, and at layer 7 a header names the client's."
    )
    needs_service = False

    def run(self, stage: Stage) -> None:
        # First: with the drill's own services, "the only service" of a balancer would not be clear any more.
        ways, left_out = entrances.found(stage)
        for each in left_out:
            stage.saw(each)
        for way in ways:
            self._behind(stage, way)
        image = extras.bring_image(stage)
        published = {
            MESH: ["--publish", f"published={PORTS[MESH]},target=80"],
            HOST: ["--mode", "global", "--publish", f"published={PORTS[HOST]},target=80,mode=host"],
        }
        seen: dict[str, list[Fact]] = {MESH: [], HOST: []}
        for name, options in published.items():
            extras.make_service(stage, name, options, image)
            for node in stage.members():
                found = fact(node, PORTS[name], "client", MESH_LIMIT)
                seen[name].append(found)
                command = f"host$ curl http://{node.address}:{PORTS[name]}/"
                stage.saw(f"{name} on {node.name} sees {found.value}; the client has {found.sender}", command=command)
        stage.check(
            "through the mesh the client's address is lost",
            all(found.value != found.sender for found in seen[MESH]),
            f"seen: {', '.join(found.value for found in seen[MESH])}",
        )
        stage.check(
            "at a port of the node itself it is seen",
            all(found.value == found.sender for found in seen[HOST]),
            f"seen: {', '.join(found.value for found in seen[HOST])}",
        )

    def _behind(self, stage: Stage, way: Entrance) -> None:
        """What a service sees through a load balancer, if its page tells that, as the stack "hello" does."""
        place = f"{way.label}, port {way.publish.port}"
        try:
            page = ask(way.target)
        except ClusterError as error:
            stage.saw(f"{place} is left out: it does not answer", error.details)
            return
        if page.status >= 400:
            stage.saw(f"{place} is left out: it answers with status {page.status}", page.text)
            return
        client, told = page.value("client"), page.value("forwarded-for")
        if client is None:
            stage.saw(f"{place} is left out: the page of {way.pool.service} does not tell which client it sees")
            return
        header = "" if told in {None, NOTHING} else f"; X-Forwarded-For says {told}"
        text = f"{place}: {way.pool.service} sees {client}{header}; the client has {page.sender}"
        stage.saw(text, command=f"host$ {way.command}")
        stage.check(f"behind {way.label} the client's address is not seen", client != page.sender, f"seen: {client}")
        if way.is_web and told is not None:
            text = f"behind {way.label} X-Forwarded-For tells it"
            stage.check(text, told == page.sender, f"it says {told}")
