"""The fields in which two profiles differ."""

from collections.abc import Iterator
from typing import Any

from labgen.profile.problems import Location, dotted
from labgen.profile.schema import Profile

_UNSET = "not set"


def differences(recorded: Profile, given: Profile) -> Iterator[str]:
    """A line for each field: the recorded and the given value. No lines if both profiles result in the same lab."""
    before, after = (dict(_leaves(each.model_dump(mode="json"), ())) for each in (recorded, given))
    for location in sorted(before.keys() | after.keys(), key=dotted):
        old, new = before.get(location), after.get(location)
        if old != new:
            yield f"{dotted(location)}: {_said(old)} in the lab, {_said(new)} now"
    if list(recorded.nodes) != list(given.nodes) and recorded.nodes.keys() == given.nodes.keys():
        # Addresses are assigned in this order.
        yield f"nodes: in the order {', '.join(recorded.nodes)} in the lab, {', '.join(given.nodes)} now"


def _leaves(data: dict[str, Any], location: Location) -> Iterator[tuple[Location, object]]:
    for key, value in data.items():
        yield from _values(value, (*location, key))


def _values(value: Any, location: Location) -> Iterator[tuple[Location, object]]:
    if isinstance(value, dict):
        yield from _leaves(value, location)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _values(each, (*location, number))
    else:
        yield location, value


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or _UNSET
    if isinstance(value, bool):
        return str(value).lower()
    return _UNSET if value in (None, "") else str(value)
