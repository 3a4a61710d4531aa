"""The clock: behind for good in a machine that was paused from outside, as by a laptop that slept."""

from labgen.health.base import Check, Seen, Verdict

TOLERANCE = 3  # seconds; less than 2 the machine itself does not see, and it looks once a minute


class Clock(Check):
    name = "clock"

    def judge(self, seen: Seen) -> Verdict:
        off = offset(seen)
        if abs(off) <= TOLERANCE:
            return Verdict("ok", f"within {TOLERANCE} s of this host's")
        direction = "behind" if off < 0 else "ahead of"
        return Verdict("fail", f"{abs(off):.0f} s {direction} this host's", f"labgen start {seen.lab.name}")


def offset(seen: Seen) -> float:
    """How far the machine's clock is ahead of this host's, at least; exact but for the time that the answer took."""
    asked, answered = seen.asked
    return seen.clock - min(max(seen.clock, asked), answered)
