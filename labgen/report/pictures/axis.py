"""The time axis that the pictures of an exercise share, so that they can be read one below the other."""

from dataclasses import dataclass

from labgen.report.pictures.svg import Drawing

WIDTH = 760.0
LEFT, RIGHT = 92.0, 12.0  # what is beside the axis
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # seconds between two ticks
TICKS = 9  # at most


@dataclass(frozen=True)
class Mark:
    """Something that was done. :param number: by which the text below the picture names it."""

    at: float
    number: int
    text: str


@dataclass(frozen=True)
class Axis:
    """:param end: seconds. :param marks: what was done, in the order of its moments."""

    end: float
    marks: tuple[Mark, ...] = ()

    def x(self, at: float) -> float:
        """:param at: seconds; what is outside is put at the edge."""
        part = min(max(at, 0.0), self.end) / self.end if self.end else 0.0
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[int]:
        step = next((each for each in STEPS if self.end / each <= TICKS), STEPS[-1])
        return list(range(0, int(self.end) + 1, max(step, int(self.end / TICKS / STEPS[-1]) * STEPS[-1])))

    def draw(self, drawing: Drawing, top: float, bottom: float) -> None:
        """The ticks below, and the marks, each with its number above.

        :param top: where the picture begins; the numbers are above. :param bottom: where it ends; ticks are below.
        """
        for tick in self.ticks():
            drawing.line(self.x(tick), top, self.x(tick), bottom, "grid")
            drawing.text(self.x(tick), bottom + 16, f"{tick} s", "label middle")
        row_ends = [0.0, 0.0]  # numbers that are near each other are on two rows
        for mark in self.marks:
            x = self.x(mark.at)
            row = 0 if x - row_ends[0] > 16 else 1
            row_ends[row] = x
            drawing.line(x, top - 4, x, bottom, "mark")
            drawing.text(x, top - 7 - 13 * row, str(mark.number), "number middle")
