"""From a compose file's text to data with line numbers. Docker checks everything else when it reads the file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from labgen.errors import StackError
from labgen.stacks.variables import replaced

LARGEST = 2**20  # bytes; long compose files have some thousand lines


class Document:
    """A compose file that is YAML with a mapping at the top.

    :ivar data: dicts and lists with anchors and merges resolved.
    """

    def __init__(self, path: Path, values: Mapping[str, str]) -> None:
        """:param values: of the variables.

        :raises StackError: the file cannot be read, or is not a mapping in YAML.
        """
        self.path = path
        self._values = values
        try:
            content = path.read_bytes()
            if len(content) > LARGEST:
                raise StackError(f"{path} is larger than {LARGEST // 2**20} MiB: it is not a compose file")
            self.text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise StackError(f"{path} cannot be read", str(error)) from error
        self.data = self._parsed()

    def _parsed(self) -> Any:
        yaml = YAML(typ="rt", pure=True)
        yaml.allow_duplicate_keys = True  # as Docker does
        try:
            data = yaml.load(self.text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise StackError(f"{self.path}:{line} is not valid YAML", str(error.problem or error)) from error
        except (YAMLError, ValueError, RecursionError) as error:
            raise StackError(f"{self.path} is not valid YAML", str(error)) from error
        if not isinstance(data, dict):
            raise StackError(f"{self.path} is not a compose file", "it has no 'services:'")
        return data

    def mapping(self, *keys: str) -> dict[str, Any]:
        """The mapping at these keys; empty if something else is there."""
        found: Any = self.data
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def entries(self, *keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The named entries of the mapping at these keys; an entry without content is an empty mapping."""
        for name, entry in self.mapping(*keys).items():
            yield str(name), entry if isinstance(entry, dict) else {}

    def value(self, text: object) -> str:
        """A value as Docker reads it, with its variables replaced; empty if there is none."""
        if text is None:
            return ""
        if isinstance(text, bool):
            return str(text).lower()
        return replaced(str(text), self._values)

    def variable(self, name: str) -> str | None:
        """The value of a variable of which only the name is given; None: it is not set."""
        return self._values.get(name)

    def pairs(self, parent: dict[str, Any], key: str, location: str) -> dict[str, str | None]:
        """What is written as a mapping or as a list of ``NAME=VALUE``; None: only the name is given.

        :raises StackError: it is neither.
        """
        given = parent.get(key) or {}
        if isinstance(given, dict):
            return {str(name): None if each is None else self.value(each) for name, each in given.items()}
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise self.wrong(parent, key, f"{location}.{key}", "must be a mapping, or a list of NAME=VALUE")
        split = (self.value(each).partition("=") for each in given)
        return {name: each if equals else None for name, equals, each in split}

    def plain(self, value: object) -> Any:
        """The same for a value with everything in it, as data that JSON can express."""
        if isinstance(value, dict):
            return {str(key): self.plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return int(value)
        return self.value(value)

    def wrong(self, parent: Any, key: object, location: str, why: str, resolution: str = "") -> StackError:
        """An error at a value's line.

        :param parent: the mapping or list with the value. :param key: its key there.
        """
        try:
            line = f":{_line(parent, key)}"
        except (AttributeError, KeyError, TypeError):
            line = ""  # it came with a merge from elsewhere
        return StackError(f"{self.path}{line}: {location}: {why}", resolution=resolution)


def _line(parent: Any, key: object) -> int:
    """The line of a value in ruamel's mapping or list."""
    where = parent.lc
    found = where.item(key) if isinstance(parent, list) else where.value(key)
    return int(found[0]) + 1
