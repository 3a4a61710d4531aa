"""Names that users give to labs."""

from pydantic import TypeAdapter, ValidationError

from labgen.errors import ProfileError
from labgen.profile.schema import Name


def lab_name(text: str) -> str:
    """The name, if it is valid for a lab: the rules are those for a profile's name.

    :raises ProfileError: it is not valid.
    """
    try:
        return TypeAdapter(Name).validate_python(text)
    except ValidationError as error:
        raise ProfileError("not a valid lab name", error.errors()[0]["msg"]) from error
