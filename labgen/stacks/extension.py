"""``x-labgen`` in a compose file: what labgen makes if a cluster does not have it. Docker ignores such keys.

x-labgen:
  labels: {database: "true"}      # one of the nodes that fit the services with this constraint gets the label
  secrets: [shop-password]        # an external secret of the file gets a random content
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from labgen.stacks.compose import Constraint, External, Needs, StackService
from labgen.stacks.document import Document

KEY = "x-labgen"
LABEL = "node.labels."  # the beginning of a constraint on one
_KNOWN = ("labels", "secrets")


def needs(document: Document, services: Sequence[StackService], externals: Collection[External]) -> Needs:
    """:raises StackError: it is not valid, or asks for something that the file does not use."""
    given = document.data.get(KEY)
    if given is None:
        return Needs()
    if not isinstance(given, dict):
        raise document.wrong(document.data, KEY, KEY, "must be a mapping")
    for key in given:
        if key not in _KNOWN:
            raise document.wrong(given, key, f"{KEY}.{key}", f"is not one of: {', '.join(_KNOWN)}")
    return Needs(dict(_labels(document, given, services)), tuple(_secrets(document, given, externals)))


def constraint_of(label: str, value: str) -> Constraint:
    """By which a service asks for a node with a label."""
    return Constraint(f"{LABEL}{label}", equal=True, value=value)


def _labels(document: Document, given: dict[str, Any], services: Sequence[StackService]) -> Iterator[tuple[str, str]]:
    for label, value in document.pairs(given, "labels", KEY).items():
        wanted = constraint_of(label, value or "")
        if not any(wanted in service.constraints for service in services):
            raise document.wrong(given, "labels", f"{KEY}.labels.{label}", f"no service has the constraint {wanted}")
        yield label, value or ""


def _secrets(document: Document, given: dict[str, Any], externals: Collection[External]) -> Iterator[str]:
    listed = given.get("secrets") or []
    if not isinstance(listed, list):
        raise document.wrong(given, "secrets", f"{KEY}.secrets", "must be a list")
    for index, each in enumerate(listed):
        name = document.value(each)
        if External("secrets", name) not in externals:
            raise document.wrong(listed, index, f"{KEY}.secrets", f"{name!r} is not an external secret of the file")
        yield name
