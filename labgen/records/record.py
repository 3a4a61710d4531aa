"""How every record is stored: JSON with the number of its schema, written atomically, read strictly, and migrated.

A record with an older schema is migrated when it is read. One with a newer schema is refused, not guessed at.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from labgen.errors import LabgenError
from labgen.files import create_atomically, read_json, write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Content = dict[str, Any]


class Damaged(ValueError):
    """A file does not contain the record that was written to it."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of record.

    :param type: its dataclass in memory.
    :param migrations: the first converts schema 1 to 2, the next 2 to 3, and so on. None may change once it
        was published.
    :param later: fields that were added later, such as ``request.cold``: a record without them gets their defaults.
        A record that lacks any other field is damaged, whatever defaults the code has.
    :param mode: the file's permissions.
    """

    type: type[T]
    migrations: Sequence[Callable[[Content], Content]] = ()
    later: Collection[str] = ()
    mode: int = 0o644

    @property
    def schema(self) -> int:
        return 1 + len(self.migrations)

    def save(self, path: Path, record: T) -> None:
        """:raises OSError: from the file system; the old record is then unchanged."""
        write_atomically(path, self._text(record), self.mode)

    def create(self, path: Path, record: T) -> None:
        """:raises FileExistsError: there is one already. :raises OSError: from the file system."""
        create_atomically(path, self._text(record), self.mode)

    def load(self, path: Path) -> T:
        """:raises Damaged: it is not such a record. :raises OSError: from the file system.

        :raises LabgenError: a newer labgen wrote it.
        """
        content = _content(path)
        schema = content.pop("schema", 1)  # 0.1.0 numbered journals only
        if type(schema) is not int or schema < 1:
            raise Damaged(f"{schema!r} is not a schema")
        if schema > self.schema:
            raise LabgenError(f"{path} was written by a newer labgen", resolution="Use that version.")
        try:
            for migrate in self.migrations[schema - 1 :]:
                content = migrate(content)
            record = msgspec.convert(content, self.type)
        except (msgspec.ValidationError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(str(error)) from error
        if lacking := sorted(set(_lacking(content, asdict(record))) - set(self.later)):
            raise Damaged(f"it lacks {', '.join(lacking)}")
        return record

    def _text(self, record: T) -> str:
        content = {"schema": self.schema, **asdict(record)}
        return json.dumps(content, indent=2, default=sorted) + "\n"  # sets


def _lacking(content: Any, record: Any, place: str = "") -> Iterator[str]:
    """The fields of a record that have their class's defaults because its content lacks them."""
    if isinstance(record, dict):
        for name, value in record.items():
            if name not in content:
                yield f"{place}{name}"
            else:
                yield from _lacking(content[name], value, f"{place}{name}.")
    elif isinstance(record, tuple):
        for each, value in zip(content, record, strict=True):
            yield from _lacking(each, value, place)


def _content(path: Path) -> Content:
    try:
        content = read_json(path)
    except ValueError as error:
        raise Damaged(str(error)) from error
    if not isinstance(content, dict):
        raise Damaged("it is not a JSON object")
    return content
