"""The clock: it stays behind in a machine that was paused from outside, for example by a laptop's suspend."""

from labgen.health.base import Check, Seen, Verdict

TOLERANCE = 3  # seconds; the machine itself checks once a minute, and does not notice less than 2


class Clock(Check):
    name = "clock"

    def judge(self, seen: Seen) -> Verdict:
        off = offset(seen)
        if abs(off) <= TOLERANCE:
            return Verdict("ok", f"within {TOLERANCE} s of this host's")
        direction = "behind" if off < 0 else "ahead of"
        return Verdict("fail", f"{abs(off):.0f} s {direction} this host's", f"labgen start {seen.lab.name}")


def offset(seen: Seen) -> float:
    """How far, at least, the machine's clock is ahead of this host's; exact except for the time the answer took."""
    asked, answered = seen.asked
    return seen.clock - min(max(seen.clock, asked), answered)
