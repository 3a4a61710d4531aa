"""Loading a profile from its file, with all errors reported at once."""

import contextlib
import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from labgen.errors import ProfileError
from labgen.profile import box, rules, scripts, sentences, source
from labgen.profile import overrides as settings
from labgen.profile.files import read_text
from labgen.profile.finder import find
from labgen.profile.problems import (
    BEYOND_LINES,
    Finding,
    Location,
    Problem,
    clipped,
    profile_error,
    within,
)
from labgen.profile.schema import Profile
from labgen.profile.source import Document


@dataclass(frozen=True)
class Loaded:
    """A valid profile.

    :param source: its file; None if it was not read from one.
    :param scripts: the extra guest scripts' files, by the names that ``provision`` gives them.
    :param warnings: sentences for the user. :param overrides: the changes to the file, as given to ``--set``.
    """

    profile: Profile
    source: Path | None = None
    scripts: dict[str, Path] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


def load(reference: str, overrides: Sequence[str] = ()) -> Loaded:
    """A profile by its name or path.

    :param reference: see :func:`labgen.profile.finder.find`.
    :param overrides: like ``resources.memory=2GiB``; the last one wins.
    :raises ProfileError: the profile is not valid; the details have a line for each error.
    :raises UsageError: an override is not of the form ``PATH=VALUE``. :raises BoxError: the box's recipe is invalid.
    """
    path = find(reference)
    try:
        text = read_text(path, source.LARGEST)
    except ValueError as error:
        brief = f"profile '{clipped(reference)}' cannot be read"
        evidence = f"{clipped(_label(path))}: {error}"
        raise ProfileError(brief, evidence, "To list the profiles: labgen profile list") from error
    return parse(text, reference, label=_label(path), path=path, overrides=overrides)


def parse(
    text: str, name: str, *, label: str = "", path: Path | None = None, overrides: Sequence[str] = ()
) -> Loaded:
    """A profile from its text.

    :param name: the profile's name in errors. :param label: its file's name in errors.
    :param path: its file, whose directory also holds the scripts; without one, nothing outside the text is read:
        neither the scripts nor the box's recipe. So a lab's own record can always be read back.
    :raises ProfileError: as :func:`load`. :raises UsageError: as :func:`load`.
    """
    document = source.parse(text, clipped(label or name))
    if isinstance(document.data, dict):
        settings.apply(document, overrides)
        loaded, found = _checked(document, path)
        inborn = _checked(source.parse(text, clipped(label or name)), path)[1] if found and overrides else []
        problems = document.problems + [_problem(document, finding, finding in inborn) for finding in found]
        if loaded and not problems:
            return replace(loaded, overrides=tuple(overrides))
        raise profile_error(name, problems)
    raise profile_error(name, document.problems)


def _checked(document: Document, path: Path | None) -> tuple[Loaded | None, list[Finding]]:
    """The profile and its problems, except for those of the text itself."""
    unsure = [problem.location for problem in document.problems]
    profile, found = _validated(document.data)
    wrong = unsure + [finding.location for finding in found]
    found = [finding for finding in found if not within(finding.location, unsure)]
    if profile is None:  # the rules are checked all the same, on the remaining data
        profile, _ = _validated(_repaired(document.data, map(_removable, wrong)))
    if profile is None:
        return None, found
    files: dict[str, Path] = {}
    concluded = list(rules.broken(profile))
    if path is not None:
        files, missing = scripts.resolve(profile, path.resolve().parent)
        concluded += [*missing, *box.unfit(profile, document.places)]
    found += [finding for finding in concluded if not finding.is_doubtful(wrong)]
    return Loaded(profile, path, files, tuple(rules.warnings(profile))), found


def _validated(data: Any) -> tuple[Profile | None, list[Finding]]:
    try:
        return Profile.model_validate(data), []
    except ValidationError as error:
        return None, sentences.findings(error)


def _removable(location: Location) -> Location:
    """What can be left out because of an error: what a balancer does makes sense only as a whole."""
    return location[:3] if location[:1] == ("nodes",) and location[2:3] == ("balancer",) else location


def _repaired(data: dict[str, Any], wrong: Iterable[Location]) -> dict[str, Any]:
    """The data without the invalid values, so that the rest can be checked."""
    repaired = copy.deepcopy(data)
    for location in sorted(wrong, key=len, reverse=True):
        holder: Any = repaired
        for step in location[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else None
        last = location[-1] if location else ""
        if isinstance(holder, dict):
            holder.pop(last, None)
        elif isinstance(holder, list) and isinstance(last, int):
            holder[last] = "wrong"  # keeps the numbers of the others; findings about it are dropped
    return {"name": "unnamed", "nodes": {"node": {}}, **repaired}


def _problem(document: Document, finding: Finding, inborn: bool) -> Problem:
    """The finding with the place to blame: a ``--set`` that changed something it rests on, else the value's place.

    :param inborn: the problem is in the file, regardless of ``--set``.
    """
    place = document.place(finding.location)
    if not inborn:
        rested = [document.places[each] for each in document.places if finding.is_doubtful([each])]
        place = max([place, *rested], key=lambda each: each.order if each.order >= BEYOND_LINES else 0)
    return Problem(place, finding.location, finding.message)


def _label(path: Path) -> str:
    """The path as errors show it: short if it is below the current directory."""
    with contextlib.suppress(OSError, ValueError):  # the current directory was removed, or is elsewhere
        return str(path.relative_to(Path.cwd()))
    return str(path)
