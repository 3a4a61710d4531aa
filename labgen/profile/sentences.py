"""pydantic's errors as sentences that tell what would be valid."""

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from labgen.profile.problems import Finding, Location, dotted, shown, suggestion
from labgen.profile.schema import Group, Profile, Section


def findings(error: ValidationError) -> list[Finding]:
    """All of a validation's errors."""
    return [_finding(details) for details in error.errors(include_url=False)]


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
    fields = section.model_fields
    for name, field in fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and key in inner.model_fields:
            return f"is not a field here; did you mean '{name}.{key}'?"
    if location[0] == "nodes" and key in _section(location[2:-1]).model_fields:
        path = dotted(location[2:])
        return f"is not a field of a group: it is the same for all nodes; set it at the top level as '{path}'"
    return f"is not a field here{suggestion(key, fields)}"


def _section(location: Location) -> type[Section]:
    """The part of the schema that describes what is at a location."""
    section: type[Section] = Profile
    if location[:1] == ("nodes",) and len(location) > 1:
        section, location = Group, location[2:]
    for step in location:
        annotation = section.model_fields[str(step)].annotation
        assert isinstance(annotation, type)  # noqa: S101 -- only sections report unknown fields
        section = annotation
    return section


# Examples of a mapping, a list or a missing field, by the field's name.
_EXAMPLES: dict[str | int, str] = {
    "name": "name: my-lab",
    "nodes": "nodes: {manager: {role: manager}, worker: {count: 2}}",
    "resources": "resources: {cpus: 1, memory: 1GiB}",
    "storage": "storage: {size: 10GiB}",
    "network": "network: {subnet: 10.77.5.0/24}",
    "labels": "labels: {rack: a}",
    "provision": "provision: [scripts/extra.sh]",
}


def _example(location: Location) -> str:
    field = location[-1]
    if len(location) == 2 and location[0] == "nodes":
        return f", e.g. {dotted((field,))}: {{count: 2}}"
    return f", e.g. {_EXAMPLES[field]}" if field in _EXAMPLES else ""
