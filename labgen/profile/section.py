"""What all parts of the schema share."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from labgen.profile.size import Size


def _tidied(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Makes the JSON Schema suitable for display in editors.

    Titles only repeat the names, ``default: null`` means "as in the profile", and sizes are text.
    """
    schema.pop("title", None)
    for name, part in schema.get("properties", {}).items():
        part.pop("title", None)
        part.pop("default", None)
        if "patternProperties" in part:
            part["additionalProperties"] = False
        field = model.model_fields[name]
        if not field.is_required() and field.default is not None:
            part["default"] = _as_written(field.default)


def _as_written(default: object) -> object:
    if isinstance(default, Section):
        return default.model_dump(mode="json", exclude_none=True)
    return str(default) if isinstance(default, Size) else default


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_tidied)
