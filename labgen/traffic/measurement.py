"""What became of requests on a schedule: how many failed, when and how, who answered, how long it took. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from hdrh.histogram import HdrHistogram

LONGEST = 60_000_000  # microseconds; more than any limit for an answer
DIGITS = 3  # significant
PERCENTILES = (50, 90, 99, 100)
LATE = 0.1  # seconds after its moment, at which a request tells of the sender's delay and not of the service
MUCH = 0.01  # of the requests: that many may be late
SLOW = "slow"  # why an answer does not count that took too long


@dataclass(frozen=True)
class Answer:
    """What became of one request. Times are in seconds.

    :param at: when it was due, since the schedule began. :param late: how long after that it was sent.
    :param took: until its end, since it was due. :param target: the index of the target.
    :param failure: why it failed; empty: it did not. :param status: of HTTP; 0: there was no answer.
    :param node: that answered, as the answer itself says; empty: it does not. :param task: likewise.
    :param backend: to which a load balancer has sent it, as that says; also of a request that failed.
    """

    at: float
    late: float
    took: float
    target: int
    failure: str = ""
    status: int = 0
    node: str = ""
    task: str = ""
    backend: str = ""


@dataclass(frozen=True)
class Second:
    """The requests that were due in one second.

    :param failed: how many, by cause. :param nodes: how many were answered by each. :param latency: in milliseconds,
        by percentile, of those that were answered.
    """

    second: int
    sent: int
    failed: Mapping[str, int]
    nodes: Mapping[str, int]
    latency: Mapping[str, float]


@dataclass(frozen=True)
class Share:
    """A node's or a task's part of the answers. :param part: of one."""

    name: str
    answers: int
    part: float


@dataclass(frozen=True)
class Measurement:
    """:param targets: their names. :param rate: requests per second."""

    answers: Sequence[Answer]
    targets: Sequence[str]
    rate: float

    @cached_property
    def failures(self) -> list[Answer]:
        """In the order of their moments."""
        return sorted((each for each in self.answers if each.failure), key=lambda each: each.at)

    def between(self, begin: float, end: float) -> "Measurement":
        """Of the requests that were due then. Times are seconds since the schedule began."""
        return Measurement([each for each in self.answers if begin <= each.at < end], self.targets, self.rate)

    def through(self, names: Collection[str]) -> "Measurement":
        """Of the requests to some of the targets."""
        numbers = {number for number, name in enumerate(self.targets) if name in names}
        return Measurement([each for each in self.answers if each.target in numbers], self.targets, self.rate)

    def strictly(self, limit: float) -> "Measurement":
        """The same, where answers that took longer count as failures. :param limit: in seconds."""
        judged = [
            replace(each, failure=SLOW) if each.took > limit and not each.failure else each for each in self.answers
        ]
        return Measurement(judged, self.targets, self.rate)

    def causes(self) -> dict[str, int]:
        """How many failed, by cause."""
        return dict(Counter(each.failure for each in self.failures))

    def failed_seconds(self) -> list[int]:
        return sorted({int(each.at) for each in self.failures})

    def nodes(self) -> list[Share]:
        """Who answered how much, by name."""
        return _shares(each.node for each in self.answers if not each.failure)

    def tasks(self) -> list[Share]:
        return _shares(each.task for each in self.answers if not each.failure)

    def backends(self) -> list[Share]:
        """Of the answers that came through a load balancer."""
        return _shares(each.backend for each in self.answers if each.backend and not each.failure)

    def latency(self) -> dict[str, float]:
        """In milliseconds, by percentile (``p50`` ... ``p100``), of the requests that were answered."""
        return percentiles(each.took for each in self.answers if not each.failure)

    def seconds(self) -> list[Second]:
        """One after the other, without gaps."""
        by_second: dict[int, list[Answer]] = {}
        for each in self.answers:
            by_second.setdefault(int(each.at), []).append(each)
        return [_second(number, by_second.get(number, [])) for number in range(max(by_second, default=-1) + 1)]

    def silent_seconds(self) -> list[int]:
        """Those in which requests were due and none was answered."""
        return [each.second for each in self.seconds() if each.sent and each.sent == sum(each.failed.values())]

    @property
    def kept_up(self) -> bool:
        """Whether the requests were sent on time."""
        late = [each for each in self.answers if each.late > LATE]
        return len(late) <= MUCH * len(self.answers)

    def answering_since(self, begin: float) -> float | None:
        """The moment from which on no request has failed, of those due since ``begin``; None: the last one failed."""
        due = sorted((each for each in self.answers if each.at >= begin), key=lambda each: each.at)
        if not due or due[-1].failure:
            return None
        after_failures = [following.at for each, following in pairwise(due) if each.failure]
        return max(after_failures, default=begin)


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    histogram = HdrHistogram(1, LONGEST, DIGITS)
    for each in seconds:
        histogram.record_value(min(LONGEST, max(1, round(each * 1e6))))
    if not histogram.get_total_count():
        return {}
    return {f"p{each}": histogram.get_value_at_percentile(each) / 1000 for each in PERCENTILES}


def _second(number: int, answers: Sequence[Answer]) -> Second:
    good = [each for each in answers if not each.failure]
    return Second(
        number,
        len(answers),
        dict(Counter(each.failure for each in answers if each.failure)),
        {share.name: share.answers for share in _shares(each.node for each in good)},
        percentiles(each.took for each in good),
    )


def _shares(names: Iterable[str]) -> list[Share]:
    counts = Counter(names)
    return [Share(name, count, count / counts.total()) for name, count in sorted(counts.items())]
