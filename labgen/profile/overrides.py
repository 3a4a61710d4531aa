"""``--set resources.memory=2GiB``: single values from the command line."""

from collections.abc import Sequence

from labgen.errors import UsageError
from labgen.profile import source
from labgen.profile.problems import BEYOND_LINES, Location, Place, Problem, clipped, dotted, shown, suggestion
from labgen.profile.source import Document

_SPLIT = "write it like --set resources.memory=2GiB"


def apply(document: Document, overrides: Sequence[str]) -> None:
    """Changes a document's data. Invalid values are found later, like those of a file.

    :raises UsageError: an override does not have the form ``PATH=VALUE``.
    """
    parsed = [_parsed(override) for override in overrides]
    for index, (override, (location, value)) in enumerate(zip(overrides, parsed, strict=True)):
        place = Place(BEYOND_LINES + index, f"--set {clipped(override)}")
        _put(document, location, value, place)


def _parsed(override: str) -> tuple[Location, object]:
    path, equals, text = override.partition("=")
    if not equals:
        raise UsageError(f"--set {clipped(override)} has no '='", resolution=_SPLIT)
    location = _location(path.strip())
    if not all(location):
        raise UsageError(f"--set {clipped(override)} has no field before the '='", resolution=_SPLIT)
    if "\n" in override:
        raise UsageError(f"--set {clipped(override)} has several lines", resolution=_SPLIT)
    # As the value of a key, it has the same meaning as in a file.
    value = source.parse(f"x: {text}", "--set") if text else Document({"x": ""})
    if value.problems:
        raise UsageError(f"--set {clipped(override)}: {value.problems[0].message}", resolution=_SPLIT)
    return location, value.data["x"]


def _location(path: str) -> Location:
    """The steps of a path. A label's name may contain dots, so it takes the rest of the path."""
    steps = path.split(".")
    for depth in (1, 3):
        if steps[depth - 1 : depth] == ["labels"] and (depth == 1 or steps[0] == "nodes") and steps[depth:]:
            return (*steps[:depth], ".".join(steps[depth:]))
    return tuple(steps)


def _put(document: Document, location: Location, value: object, place: Place) -> None:
    target = document.data
    for depth, step in enumerate(location[:-1], start=1):
        if location[:depth] == location[:2] and location[0] == "nodes" and step not in target:
            _refuse_new_group(document, location, place, list(target))
            return
        target = target.setdefault(step, {})
        if not isinstance(target, dict):
            message = f"cannot be set, because {dotted(location[:depth])} is not a mapping"
            document.problems.append(Problem(place, location, message))
            return
    target[location[-1]] = value
    for known in [known for known in document.places if known[: len(location)] == location]:
        del document.places[known]
    document.places[location] = place


def _refuse_new_group(document: Document, location: Location, place: Place, groups: list[str]) -> None:
    """Otherwise a mistyped group would become a new one, with its own node."""
    group = str(location[1])
    message = f"there is no group {shown(group)}{suggestion(group, groups)}"
    message += f" (a new group is set as a whole: --set 'nodes.{clipped(group)}={{count: 2}}')"
    document.problems.append(Problem(place, location, message))
