"""A lab's machines on their network, what runs on each, and the ports and networks of its services."""

from labgen.report.pictures.svg import Drawing
from labgen.report.text import line
from labgen.report.topology import Machine, Topology

WIDTH, GAP, PER_ROW = 760.0, 16.0, 3
EDGE = 1.0  # so that borders are drawn in full
BOX = (WIDTH - 2 * EDGE - GAP * (PER_ROW - 1)) / PER_ROW
ROW = 18.0  # the height of a line of text
MOST_TASKS = 10  # of one machine that are named
CHARACTERS = 34  # in a machine's box


def topology(shown: Topology, title: str, style: str = "") -> str:
    """:param style: a style sheet, for a picture that is a file of its own."""
    rows = [shown.machines[start : start + PER_ROW] for start in range(0, len(shown.machines), PER_ROW)]
    heights = [max(map(_height, row)) for row in rows]
    below = [*_ports(shown), *_networks(shown)]
    top = 58.0
    bottom = top + sum(height + GAP + 12 for height in heights)
    drawing = Drawing(WIDTH, bottom + ROW * len(below) + (14 if below else 0), title, "topology")
    if style:
        drawing.style(style)
    drawing.box((EDGE, EDGE, WIDTH - 2 * EDGE, 30), "host")
    drawing.text(12, 20, line(f"host, gateway {shown.gateway}", 60), "name")
    drawing.text(WIDTH - 12, 20, line(f"network of {shown.lab}: {shown.subnet}", 60), "label end")
    y = top
    # One wire down between the machines' columns, and one above each row.
    drawing.line(WIDTH / 2, 31, WIDTH / 2, y - 12, "wire")
    for row, height in zip(rows, heights, strict=True):
        last = EDGE + (len(row) - 1) * (BOX + GAP) + BOX / 2
        drawing.line(min(EDGE + BOX / 2, WIDTH / 2), y - 12, max(last, WIDTH / 2), y - 12, "wire")
        for column, machine in enumerate(row):
            x = EDGE + column * (BOX + GAP)
            drawing.line(x + BOX / 2, y - 12, x + BOX / 2, y, "wire")
            _draw(drawing, machine, x, y, height)
        y += height + GAP + 12
        if row is not rows[-1]:
            # At the edge, where no machine is in the way.
            drawing.path([(WIDTH - 2, y - height - GAP - 24), (WIDTH - 2, y - 12), (WIDTH / 2, y - 12)], "wire")
            drawing.line(WIDTH / 2, y - height - GAP - 24, WIDTH - 2, y - height - GAP - 24, "wire")
    for number, text in enumerate(below):
        drawing.text(4, bottom + ROW * number + 6, line(text, 112))
    return str(drawing)


def _height(machine: Machine) -> float:
    return 30 + ROW * len(_lines(machine)) + 10


def _draw(drawing: Drawing, machine: Machine, x: float, y: float, height: float) -> None:
    off = machine.state not in {"", "running"} or machine.member.startswith(("down", "unknown"))
    drawing.box((x, y, BOX, height), f"machine {machine.role or 'other'}{' off' if off else ''}")
    drawing.box((x, y, BOX, 26), f"head {machine.role or 'other'}")
    drawing.text(x + 10, y + 18, line(machine.name, 20), "name")
    role = f"{machine.role or machine.kind}{', leader' if machine.leader else ''}"
    drawing.text(x + BOX - 10, y + 18, line(role, 18), "label end")
    for number, (text, kind) in enumerate(_lines(machine)):
        drawing.text(x + 10, y + 44 + ROW * number, line(text, CHARACTERS), kind)


def _lines(machine: Machine) -> list[tuple[str, str]]:
    """The texts in a machine's box, with their classes."""
    states = {"machine": machine.state, "node": machine.member}
    said = [f"{what} {state}" for what, state in states.items() if state]
    found = [(text, "label") for text in (machine.address, *said) if text]
    found += [(task, "task-name") for task in machine.tasks[:MOST_TASKS]]
    if more := len(machine.tasks) - MOST_TASKS:
        found += [(f"and {more} more tasks", "label")] if more > 0 else []
    return found


def _ports(shown: Topology) -> list[str]:
    return [
        f"port {each.port}/{each.protocol} of {'all nodes' if each.mode == 'ingress' else 'the nodes with its tasks'}"
        f" → {each.service}, port {each.target}"
        for each in shown.ports
    ]


def _networks(shown: Topology) -> list[str]:
    return [
        f"network {each.name} ({each.driver}{', encrypted' if each.encrypted else ''}): {', '.join(each.services)}"
        for each in shown.networks
        if each.services
    ]
