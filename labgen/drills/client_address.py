"""What a service sees as its client's address."""

from labgen.drills import extras
from labgen.drills.base import Drill
from labgen.drills.page import Fact, fact
from labgen.drills.stage import Stage

MESH, HOST = "labgen-drill-mesh", "labgen-drill-host"
PORTS = {MESH: 18080, HOST: 18081}
MESH_LIMIT = 60  # seconds until a node forwards a port that is new


class ClientAddress(Drill):
    name = "client-address"
    about = "The client's address, seen through the mesh and at a node's port"
    hypothesis = (
        "Through the mesh a service sees another address than its client's; at a port of the node itself it sees the "
        "client's."
    )
    needs_service = False

    def run(self, stage: Stage) -> None:
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
