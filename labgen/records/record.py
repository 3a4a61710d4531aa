"""How every record is kept: JSON that names its schema, written in one step, read strictly, brought up to date.

A record of an older schema is migrated as it is read. One of a newer schema is refused, not guessed at.
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
    """A file does not hold the record that was written to it."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of record.

    :param type: the dataclass that it is in memory.
    :param migrations: the first makes schema 2 from schema 1, the next 3 from 2, and so on. None may change once it
        was published.
    :param later: the fields that were added since, as ``request.cold``: a record without them gets their defaults.
        One that lacks any other field is damaged, whatever defaults the code has.
    """

    type: type[T]
    migrations: Sequence[Callable[[Content], Content]] = ()
    later: Collection[str] = ()

    @property
    def schema(self) -> int:
        return 1 + len(self.migrations)

    def save(self, path: Path, record: T) -> None:
        """:raises OSError: as from the file system; the old record is then still there."""
        write_atomically(path, self._text(record))

    def create(self, path: Path, record: T) -> None:
        """:raises FileExistsError: there is one already. :raises OSError: as from the file system."""
        create_atomically(path, self._text(record))

    def load(self, path: Path) -> T:
        """:raises Damaged: it is not such a record. :raises OSError: as from the file system.

        :raises LabgenError: a newer labgen wrote it.
        """
        content = _content(path)
        schema = content.pop("schema", 1)  # 0.1.0 gave a number to journals only
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
    """The fields that a record has of its class's defaults, for its content does not have them."""
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
