"""A drawing, made of the few shapes that labgen's pictures need."""

from xml.etree import ElementTree

from labgen.report.text import clean

XMLNS = "http://www.w3.org/2000/svg"
Place = tuple[float, float, float, float]  # x, y, width, height
CHARACTER = 6.6  # the width of an average character of the 12 px font


class Drawing:
    """:param title: what it shows, for those who cannot see it."""

    def __init__(self, width: float, height: float, title: str, kind: str) -> None:
        """:param kind: its class, by which style sheets know it."""
        attributes = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": f"picture {kind}"}
        self._root = ElementTree.Element("svg", {"xmlns": XMLNS, **attributes, "aria-label": clean(title)})

    def style(self, text: str) -> None:
        """Puts a style sheet inside, for a picture that is a file of its own."""
        ElementTree.SubElement(self._root, "style").text = text

    def pattern(self, name: str, kind: str) -> None:
        """A hatching, by whose name shapes can be filled. :param name: no other in the page may have it."""
        about = {"id": name, "width": "5", "height": "5", "patternUnits": "userSpaceOnUse", "class": kind}
        pattern = ElementTree.SubElement(self._root, "pattern", about)
        ElementTree.SubElement(pattern, "rect", {"width": "5", "height": "5", "class": "ground"})
        ElementTree.SubElement(pattern, "path", {"d": "M-1,1 l2,-2 M0,5 l5,-5 M4,6 l2,-2", "class": "hatch"})

    def box(self, place: Place, kind: str, title: str = "", *, fill: str = "") -> None:
        """:param title: shown when a pointer rests on it. :param fill: the name of a hatching."""
        x, y, width, height = place
        about = {"x": x, "y": y, "width": max(width, 0), "height": max(height, 0)}
        shape = self._shape("rect", about, kind)
        if fill:
            shape.set("fill", f"url(#{fill})")
        if title:
            ElementTree.SubElement(shape, "title").text = clean(title)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._shape("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2}, kind)

    def path(self, points: list[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        if points:
            steps = " ".join(f"{'L' if number else 'M'}{x:g},{y:g}" for number, (x, y) in enumerate(_round(points)))
            ElementTree.SubElement(self._root, "path", {"d": steps, "class": kind})

    def text(self, x: float, y: float, text: str, kind: str = "label") -> None:
        """:param y: of the baseline. :param kind: classes; with ``end`` or ``middle``, x is that of the text."""
        self._shape("text", {"x": x, "y": y}, kind).text = clean(text)

    def __str__(self) -> str:
        return ElementTree.tostring(self._root, encoding="unicode")

    def _shape(self, name: str, numbers: dict[str, float], kind: str) -> ElementTree.Element:
        values = {key: f"{round(number, 2):g}" for key, number in numbers.items()}
        return ElementTree.SubElement(self._root, name, {**values, "class": kind})


def _round(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(round(x, 2), round(y, 2)) for x, y in points]
