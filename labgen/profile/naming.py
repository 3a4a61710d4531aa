"""Names that a user gives to a lab."""

from pydantic import TypeAdapter, ValidationError

from labgen.errors import ProfileError
from labgen.profile.schema import Name


def lab_name(text: str) -> str:
    """The name, if it is fit for one: the same rules as for a profile's.

    :raises ProfileError: it is not.
    """
    try:
        return TypeAdapter(Name).validate_python(text)
    except ValidationError as error:
        raise ProfileError("not a valid lab name", error.errors()[0]["msg"]) from error
