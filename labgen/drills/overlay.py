"""Requests of all sizes between containers on every pair of nodes."""

from labgen.drills import extras
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.parallel import on_each

NAME = "labgen-drill-overlay"
# Bytes; one packet of VXLAN carries 1450 of IP on a network of 1500.
SIZES = (1, 100, 1000, 1350, 1400, 1450, 1500, 4000, 9000)
# In a container. $1: the sizes. The others: addresses. A line for each request.
ASK = """
sizes=$1
shift
for address; do
    for size in $sizes; do
        got=$(wget -q -T 5 -O - "http://$address/bytes?n=$size" | wc -c)
        echo "$address $size $got"
    done
done
"""


class Overlay(Drill):
    name = "overlay"
    about = "Requests of 1 to 9,000 bytes between all nodes' containers"
    hypothesis = "Answers of every size arrive whole, between containers on every pair of nodes."
    needs_service = False

    def run(self, stage: Stage) -> None:
        image = extras.bring_image(stage)
        extras.make_network(stage, NAME)
        extras.make_service(stage, NAME, ["--mode", "global", "--network", NAME], image)
        tasks = extras.tasks(stage, NAME)
        addresses = {node: extras.address(stage, node, task, NAME) for node, task in tasks.items()}
        nodes = {address: node for node, address in addresses.items()}

        def ask(node: str) -> str:
            others = [address for other, address in addresses.items() if other != node]
            words = ["exec", tasks[node].container, "sh", "-c", ASK, "sh", " ".join(map(str, SIZES)), *others]
            return stage.on(node, *words)

        stage.progress.step("requests between all nodes", stage="watch")
        answers = on_each({node: node for node in tasks}, ask)
        for node, text in answers.items():
            command = f"{node}$ docker exec CONTAINER wget -O - http://ADDRESS/bytes?n=SIZE | wc -c"
            stage.saw(f"bytes that arrive on {node}: address, size, arrived", text, command)
            for address, lost in _lost(text).items():
                whole = [size for size in SIZES if size not in lost]
                stage.check(
                    f"every size arrives on {node} from {nodes[address]}",
                    not lost,
                    _finding(whole, lost) if lost else f"{SIZES[0]} to {SIZES[-1]} bytes",
                )


def _lost(text: str) -> dict[str, list[int]]:
    """The sizes that did not arrive whole, by address."""
    found: dict[str, list[int]] = {}
    for line in text.splitlines():
        address, size, got = line.split()
        lost = found.setdefault(address, [])
        if got != size:
            lost.append(int(size))
    return found


def _finding(whole: list[int], lost: list[int]) -> str:
    if whole and min(lost) > max(whole):
        return (
            f"up to {max(whole)} bytes arrive, from {min(lost)} on nothing does: large packets are lost; compare the "
            "MTU of the networks on the way, or switch checksum offload off (moby/moby#41775)"
        )
    return f"lost: {', '.join(map(str, lost))} bytes"
