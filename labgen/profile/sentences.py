"""pydantic's errors as sentences that tell what would be valid."""

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from labgen.profile.problems import Finding, Location, dotted, shown, suggestion
from labgen.profile.schema import Group, Profile
from labgen.profile.section import Section


def findings(error: ValidationError) -> list[Finding]:
    """All of a validation's errors."""
    errors = error.errors(include_url=False)
    places = [each["loc"] for each in errors]
    return [
        _finding(each) for each in errors if not (each["type"] == "too_short" and _has_below(each["loc"], places))
    ]


def _has_below(location: Location, others: Iterable[Location]) -> bool:
    """Whether there are errors in the entries of a list: pydantic counts only those without any."""
    return any(len(other) > len(location) and other[: len(location)] == location for other in others)


def _finding(details: ErrorDetails) -> Finding:
    location = details["loc"]
    # pydantic marks an error in a key, as opposed to its value, with one more step. A field can have that name, too.
    if location[-1:] == ("[key]",) and details["type"] != "extra_forbidden":
        location = location[:-1]
    return Finding(location, _sentence(details, location))


def _sentence(details: ErrorDetails, location: Location) -> str:
    if details["type"] == "extra_forbidden":
        return _unknown(location)
    if details["type"] == "too_long":
        return f"has {len(details['input'])} entries, at most {details['ctx']['max_length']}"
    example, value = _example(location), shown(details["input"])
    sentences = {
        "missing": f"is missing{example}",
        "model_type": f"must be a mapping{example}, not {value}",
        "dict_type": f"must be a mapping{example}, not {value}",
        "tuple_type": f"must be a list{example}, not {value}",
        "too_short": f"must not be empty{example}",
    }
    return sentences.get(details["type"], details["msg"])  # the constraints' own sentences are in msg


def _unknown(location: Location) -> str:
    key = str(location[-1])
    section = _section(location[:-1])
    assert section  # noqa: S101 -- only sections report unknown fields
    fields = section.model_fields
    for name, field in fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and key in inner.model_fields:
            return f"is not a field here; did you mean '{name}.{key}'?"
    if location[0] == "nodes" and len(location) > 2:
        top = _section(location[2:-1])
        if top and key in top.model_fields:
            path = dotted(location[2:])
            return f"is not a field of a group: it is the same for all nodes; set it at the top level as '{path}'"
    return f"is not a field here{suggestion(key, fields)}"


def _section(location: Location) -> type[Section] | None:
    """The part of the schema that describes what is at a location; None: there is no such location."""
    section: type[Section] | None = Profile
    if location[:1] == ("nodes",) and len(location) > 1:
        section, location = Group, location[2:]
    for step in location:
        if isinstance(step, str):  # all entries of a list are alike
            field = section.model_fields.get(step) if section else None
            section = _inner(field.annotation) if field else None
    return section


def _inner(annotation: Any) -> type[Section] | None:
    """The section in ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for each in get_args(annotation) if (found := _inner(each))), None)


# Examples of a mapping, a list or a missing field, by the field's name.
_EXAMPLES: dict[str | int, str] = {
    "name": "name: my-lab",
    "nodes": "nodes: {manager: {role: manager}, worker: {count: 2}}",
    "resources": "resources: {cpus: 1, memory: 1GiB}",
    "storage": "storage: {size: 10GiB}",
    "network": "network: {subnet: 10.77.5.0/24}",
    "labels": "labels: {rack: a}",
    "provision": "provision: [scripts/extra.sh]",
    "balancer": "balancer: {program: nginx, publish: [80]}",
    "program": "program: nginx",
    "publish": "publish: [80]",
    "routes": "routes: [{path: /app1, service: shop_web}]",
    "access": "access: {allow: [10.0.0.0/8]}",
    "allow": "allow: [10.0.0.0/8]",
    "users": "users: {ann: $6$...}",
    "port": "port: 80",
}


def _example(location: Location) -> str:
    field = location[-1]
    if isinstance(field, int):  # an entry of a list
        examples = {"publish": "{port: 80, service: shop_web}", "routes": "{path: /app1, service: shop_web}"}
        return f", e.g. {examples[location[-2]]}" if location[-2] in examples else ""
    if len(location) == 2 and location[0] == "nodes":
        return f", e.g. {dotted((field,))}: {{count: 2}}"
    return f", e.g. {_EXAMPLES[field]}" if field in _EXAMPLES else ""
