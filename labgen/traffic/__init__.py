"""HTTP requests to a lab's services on a fixed schedule, and what became of them."""

from labgen.traffic.load import ANSWER_LIMIT, Load, Target
from labgen.traffic.measurement import Answer, Measurement, Second, Share

__all__ = ["ANSWER_LIMIT", "Answer", "Load", "Measurement", "Second", "Share", "Target"]
