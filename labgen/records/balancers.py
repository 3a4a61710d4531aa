"""What a lab's load balancers were given, and the nodes that get no new clients."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from labgen import paths
from labgen.errors import LabgenError
from labgen.records.record import Kind


@dataclass(frozen=True)
class Applied:
    """:param version: of the configuration. :param moment: in UTC, as ISO 8601 has it. :param why: the command."""

    version: str
    moment: str
    why: str


@dataclass(frozen=True)
class Balancers:
    """:param applied: by the balancers' names. :param drained: nodes, sorted."""

    applied: Mapping[str, Applied] = field(default_factory=dict)
    drained: tuple[str, ...] = ()


_KIND = Kind(Balancers)


def save(lab: str, record: Balancers) -> None:
    _KIND.save(paths.balancers(lab), record)


def load(lab: str) -> Balancers:
    """:raises LabgenError: it cannot be read."""
    path = paths.balancers(lab)
    with contextlib.suppress(FileNotFoundError):
        try:
            return _KIND.load(path)
        except ValueError as error:
            raise LabgenError(
                f"the record of the load balancers of {lab!r} is damaged",
                f"{path}: {error}",
                f"Remove the file; then: labgen balance {lab}",
            ) from error
    return Balancers()
