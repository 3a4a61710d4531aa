"""What a best practice is, and what was found about it in a lab."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from labgen.records.inspections import InspectedService, Inspection

Verdict = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """:param evidence: what was seen, a line each."""

    practice: "Practice"
    verdict: Verdict
    evidence: tuple[str, ...] = ()


class Practice(ABC):
    """A rule of thumb for services in production. A new one is a subclass, and its line in ``PRACTICES``.

    ``title`` is what it asks for. ``why`` it matters is one sentence. ``source``: the page of Docker's documentation.
    """

    title: str
    why: str
    source: str

    @abstractmethod
    def check(self, inspection: Inspection) -> Finding:
        """Pure."""

    def found(self, wrong: Iterable[str], right: Iterable[str]) -> Finding:
        """It fails if anything is wrong, and is not applicable if there is nothing at all."""
        bad, good = tuple(wrong), tuple(right)
        if bad:
            return Finding(self, "fail", bad)
        return Finding(self, "pass", good) if good else Finding(self, "not applicable")


class OfServices(Practice):
    """One that is checked for each service on its own."""

    @abstractmethod
    def applies(self, service: InspectedService) -> bool: ...

    @abstractmethod
    def complaint(self, service: InspectedService) -> str:
        """What is wrong with a service; empty: nothing."""

    @abstractmethod
    def praise(self, service: InspectedService) -> str:
        """The evidence that it is right; called if there is no complaint."""

    def check(self, inspection: Inspection) -> Finding:
        services = [each for each in inspection.services if self.applies(each)]
        wrong = [f"{each.name}: {said}" for each in services if (said := self.complaint(each))]
        return self.found(wrong, [] if wrong else [f"{each.name}: {self.praise(each)}" for each in services])
