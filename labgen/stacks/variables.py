"""The variables in a compose file, by the rules of ``docker stack deploy``, and of Compose for ``.env``.

The rules: https://docs.docker.com/reference/compose-file/interpolation/. Docker replaces variables by itself; here
only those in the values that labgen looks at before.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from labgen.errors import StackError

ENV_FILE = ".env"
# As in docker/cli, cli/compose/template/template.go. There is no nesting.
_NAME = r"[_a-zA-Z][_a-zA-Z0-9]*"
_PATTERN = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>{_NAME})|\{{(?P<braced>{_NAME})(?:(?P<operator>:?[-?])(?P<word>[^}}]*))?\}}|(?P<invalid>))"
)
_MENTIONED = re.compile(rf"(?<!\$)(?:\$\$)*\$\{{?({_NAME})")


def environment(directory: Path, shell: Mapping[str, str]) -> dict[str, str]:
    """The variables that a compose file in a directory can use: those of the shell, and for others those of ``.env``.

    :raises StackError: the file cannot be read.
    """
    try:
        values = dotenv_values(directory / ENV_FILE, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StackError(f"{directory / ENV_FILE} cannot be read", str(error)) from error
    return {**{name: value for name, value in values.items() if value is not None}, **shell}


def mentioned(text: str) -> set[str]:
    """The names of the variables in a text."""
    return set(_MENTIONED.findall(text))


def replaced(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables replaced; those that are not set are empty.

    :raises StackError: a required variable is not set, or a ``$`` begins no variable.
    """

    def value(match: re.Match[str]) -> str:
        if match["invalid"] is not None:
            raise StackError(f"{text!r} has a '$' that begins no variable", resolution="Write $$ for the character.")
        if match["escaped"]:
            return "$"
        name = match["named"] or match["braced"]
        found, operator, word = values.get(name), match["operator"] or "", match["word"] or ""
        is_there = bool(found) if operator.startswith(":") else found is not None
        if operator.endswith("?") and not is_there:
            raise StackError(f"the variable {name} is not set, and required", word, f"{name}=... labgen deploy ...")
        if operator.endswith("-") and not is_there:
            return word
        return found or ""

    return _PATTERN.sub(value, text)
