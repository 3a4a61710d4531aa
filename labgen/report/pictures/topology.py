"""A lab's machines on their network, what runs on each, and the ports and networks of its services."""

from labgen.report.pictures.svg import Drawing, Place
from labgen.report.text import line
from labgen.report.topology import Machine, Topology

WIDTH, GAP, PER_ROW = 760.0, 16.0, 3
EDGE = 1.0  # so that borders are drawn in full
BUS = 16.0  # beside the machines, for the wire to further rows
ABOVE = 12.0  # a row of machines
ROW = 18.0  # the height of a line of text
MOST_TASKS = 10  # of one machine that are named
CHARACTERS = 34  # in a machine's box


def topology(shown: Topology, title: str, style: str = "") -> str:
    """:param style: a style sheet, for a picture that is a file of its own."""
    rows = [shown.machines[start : start + PER_ROW] for start in range(0, len(shown.machines), PER_ROW)]
    heights = [max(map(_height, row)) for row in rows]
    below = [*_ports(shown), *_networks(shown)]
    box = (WIDTH - 2 * EDGE - (BUS if len(rows) > 1 else 0) - GAP * (PER_ROW - 1)) / PER_ROW
    top = 58.0
    bottom = top + sum(height + GAP + ABOVE for height in heights)
    drawing = Drawing(WIDTH, bottom + ROW * len(below) + (14 if below else 0), title, "topology")
    if style:
        drawing.style(style)
    drawing.box((EDGE, EDGE, WIDTH - 2 * EDGE, 30), "host")
    drawing.text(12, 20, line(f"host, gateway {shown.gateway}", 60), "name")
    drawing.text(WIDTH - 12, 20, line(f"network of {shown.lab}: {shown.subnet}", 60), "label end")
    y = top
    _wires(drawing, rows, heights, top, box)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for column, machine in enumerate(row):
            _draw(drawing, machine, (EDGE + column * (box + GAP), y, box, height))
        y += height + GAP + ABOVE
    for number, text in enumerate(below):
        drawing.text(4, bottom + ROW * number + 6, line(text, 112))
    return str(drawing)


def _height(machine: Machine) -> float:
    return 30 + ROW * len(_lines(machine)) + 10


def _wires(drawing: Drawing, rows: list[tuple[Machine, ...]], heights: list[float], top: float, box: float) -> None:
    """From the host down to a wire above the first row, from there beside the machines to the others.

    :param top: of the first row. :param box: the width of a machine.
    """
    if not rows:
        return
    drawing.line(WIDTH / 2, 31, WIDTH / 2, top - ABOVE, "wire")
    y = top
    edge = WIDTH - EDGE
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        middles = [EDGE + column * (box + GAP) + box / 2 for column in range(len(row))]
        ends = [*middles, *([edge] if len(rows) > 1 else []), *([WIDTH / 2] if number == 0 else [])]
        drawing.line(min(ends), y - ABOVE, max(ends), y - ABOVE, "wire")
        for x in middles:
            drawing.line(x, y - ABOVE, x, y, "wire")
        if number + 1 < len(rows):
            drawing.line(edge, y - ABOVE, edge, y + height + GAP, "wire")
        y += height + GAP + ABOVE


def _draw(drawing: Drawing, machine: Machine, place: Place) -> None:
    x, y, width, _ = place
    off = machine.state not in {"", "running"} or machine.member.startswith(("down", "unknown"))
    drawing.box(place, f"machine {machine.role or 'other'}{' off' if off else ''}")
    drawing.box((x, y, width, 26), f"head {machine.role or 'other'}")
    drawing.text(x + 10, y + 18, line(machine.name, 20), "name")
    role = f"{machine.role or machine.kind}{', leader' if machine.leader else ''}"
    drawing.text(x + width - 10, y + 18, line(role, 18), "label end")
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
