"""The interface of a drill."""

from abc import ABC, abstractmethod

from labgen.drills.stage import Stage, is_published
from labgen.engine import Service


class Drill(ABC):
    """An exercise with a hypothesis: what is expected, what is done, what is measured.

    A new drill is a sibling module with a subclass and a line in :data:`labgen.drills.DRILLS`.

    ``about`` is a line for lists. ``hypothesis`` is what has to come true. ``needs_service``: whether it acts on a
    service that runs in the lab. ``measures``: whether it sends requests to that service.
    """

    name: str
    about: str
    hypothesis: str
    needs_service: bool = True
    measures: bool = True

    def fits(self, service: Service) -> bool:
        """Whether it may be the service that is meant, if none is named."""
        return is_published(service)

    def refuse(self, stage: Stage) -> None:
        """Called before anything is done. :raises UsageError: this lab, or this service, does not allow it."""
        return

    @abstractmethod
    def run(self, stage: Stage) -> None:
        """Called when the service runs as it should. Everything it changes is put back afterwards, however it ends.

        :raises LabgenError: it cannot be done; what did not come true is a check that failed.
        """
