"""A profile as text."""

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from labgen.profile.schema import Profile
from labgen.profile.source import scalar

# Text that YAML 1.1 or 1.2 readers may mistake for a number or a time: 1e3, 0x1F, 007, 1_000, 12:30.
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9][-+.:_0-9a-fA-FoOxX]*")
_SHORT = 90  # characters; mappings up to this length stay on one line


def dump(profile: Profile) -> str:
    """The profile as YAML, with the defaults written out. It loads back to an equal profile."""
    data = _pruned(profile.model_dump(mode="json", exclude_none=True))
    yaml = YAML()
    yaml.width = 4096  # no line is folded
    stream = io.StringIO()
    yaml.dump(_styled(data, depth=0), stream)
    return stream.getvalue()


def _pruned(data: dict[str, Any]) -> dict[str, Any]:
    """Without empty sections and lists, and without what is off; but an empty group is still a group."""
    pruned = {key: _pruned(value) if isinstance(value, dict) else value for key, value in data.items()}
    return {key: value for key, value in pruned.items() if value or not isinstance(value, dict | list | str | bool)}


def _styled(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        mapping = CommentedMap((_styled(key, depth), _styled(item, depth + 1)) for key, item in value.items())
        if depth and len(str(value)) <= _SHORT and not (depth == 1 and _has_mappings(value)):
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        return CommentedSeq(_styled(item, depth + 1) for item in value)
    if isinstance(value, str) and (not isinstance(scalar(value), str) or _LIKE_A_NUMBER.fullmatch(value)):
        return DoubleQuotedScalarString(value)
    return value


def _has_mappings(value: dict[str, Any]) -> bool:
    return any(isinstance(item, dict) for item in value.values())
