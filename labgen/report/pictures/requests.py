"""What became of requests, second by second: how many were answered and failed, and how long the answers took."""

from collections.abc import Sequence

from labgen.report.pictures.axis import LEFT, RIGHT, WIDTH, Axis
from labgen.report.pictures.svg import Drawing
from labgen.traffic import Second

TOP, HEIGHT, BELOW = 46.0, 150.0, 30.0
FAST, SLOW = "p50", "p99"


def requests(series: Sequence[Second], began: float, axis: Axis, title: str, name: str) -> str:
    """:param began: of the first second, on the axis. :param name: of the exercise; no other in the page has it."""
    drawing = Drawing(WIDTH, TOP + HEIGHT + BELOW, title, "requests")
    drawing.pattern(f"{name}-failed", "failed")
    most = max((each.sent for each in series), default=1) or 1
    for share in (0.0, 0.5, 1.0):
        y = TOP + HEIGHT * (1 - share)
        drawing.line(LEFT, y, WIDTH - RIGHT, y, "grid")
        drawing.text(LEFT - 6, y + 4, f"{most * share:g}", "label end")
    axis.draw(drawing, TOP, TOP + HEIGHT)
    for each in series:
        left, right = axis.x(began + each.second), axis.x(began + each.second + 1)
        failed = sum(each.failed.values())
        answered = HEIGHT * (each.sent - failed) / most
        drawing.box((left, TOP + HEIGHT - answered, right - left, answered), "answered")
        if failed:
            height = HEIGHT * failed / most
            said = ", ".join(f"{count} {cause}" for cause, count in each.failed.items())
            place = (left, TOP + HEIGHT - answered - height, right - left, height)
            drawing.box(place, "failed", f"{began + each.second:.0f} s: {said}", fill=f"{name}-failed")
    drawing.text(4, 14, "requests per second", "label")
    _key(drawing, [("answered", "answered", ""), ("failed", "failed", f"{name}-failed")])
    return str(drawing)


def latency(series: Sequence[Second], began: float, axis: Axis, title: str) -> str:
    """:param began: of the first second, on the axis."""
    drawing = Drawing(WIDTH, TOP + HEIGHT + BELOW, title, "latency")
    most = max((each.latency.get(SLOW, 0.0) for each in series), default=0.0) or 1.0
    for share in (0.0, 0.5, 1.0):
        y = TOP + HEIGHT * (1 - share)
        drawing.line(LEFT, y, WIDTH - RIGHT, y, "grid")
        drawing.text(LEFT - 6, y + 4, f"{most * share:.0f} ms", "label end")
    axis.draw(drawing, TOP, TOP + HEIGHT)
    for percentile, kind in ((FAST, "fast"), (SLOW, "slow")):
        for part in _parts(series, percentile):
            points = [(axis.x(began + second + 0.5), TOP + HEIGHT * (1 - value / most)) for second, value in part]
            drawing.path(points, kind)
    drawing.text(4, 14, "time to answer", "label")
    _key(drawing, [("half of the answers", "fast", ""), ("99 of 100", "slow", "")])
    return str(drawing)


def _parts(series: Sequence[Second], percentile: str) -> list[list[tuple[int, float]]]:
    """Runs of seconds in which there were answers: a gap is not a line. One second alone is a short line."""
    parts: list[list[tuple[int, float]]] = [[]]
    for each in series:
        if percentile in each.latency:
            parts[-1].append((each.second, each.latency[percentile]))
        elif parts[-1]:
            parts.append([])
    return [part * 2 if len(part) == 1 else part for part in parts if part]


def _key(drawing: Drawing, entries: Sequence[tuple[str, str, str]]) -> None:
    """What the shapes mean. :param entries: text, class, and hatching of each."""
    x = WIDTH - RIGHT - 150.0 * len(entries)
    for text, kind, fill in entries:
        if kind in {"fast", "slow"}:
            drawing.path([(x, 10), (x + 22, 10)], kind)
        else:
            drawing.box((x, 4, 22, 12), kind, fill=fill)
        drawing.text(x + 28, 14, text)
        x += 150.0
