"""From YAML text to plain data, each value with its line.

The text may come from anyone. Of YAML, only mappings, lists and scalars are accepted: no tags (they name
objects to construct), no anchors and aliases (a few lines of them expand to gigabytes), no second document.
The parser's events are read one by one, so that nothing is built before it has been checked.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from labgen.profile.problems import MOST_SHOWN, Location, Place, Problem, clipped, shown

LARGEST = 64 * 1024  # bytes; the longest sensible profile is a tenth of it
DEEPEST = 12  # levels; the schema has nine
MOST_VALUES = 5000  # fifty groups with all their labels are half of them

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,99})")  # longer ones stay text: Python refuses to convert thousands
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,5})?|[-+]?[0-9]+[eE][-+]?[0-9]{1,5}")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNQUOTED = ("mapping values are not allowed here", "cannot start any token")
_REFUSED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, line and paragraph separators


@dataclass
class Document:
    """The contents of a text.

    :param data: dicts, lists, str, int, Decimal (which keeps 1.10 as it is), bool and None.
    :param places: where the values come from; a value without an entry comes from the same place as its parent.
    :param problems: the errors in the text; the values at their locations are not reliable.
    """

    data: Any = None
    places: dict[Location, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, location: Location) -> Place:
        while location not in self.places:
            location = location[:-1]
        return self.places[location]


class _Stop(Exception):
    """There is no point in reading further."""


def parse(text: str, label: str) -> Document:
    """Never raises: all errors are in the document's problems.

    :param label: the file's name, for the places.
    """
    document = Document(places={(): Place(1, f"{label}:1")})
    _check_characters(text, label, document.problems)
    if not document.problems:
        _Builder(text, label, document).build()
    return document


def scalar(text: str) -> object:
    """The meaning of a word without quotes by YAML 1.2's core rules: ``no`` and ``12:30`` are text."""
    if text.lower() in _WORDS and text in (text.lower(), text.title(), text.upper()):
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _FLOAT.fullmatch(text) else text


def _check_characters(text: str, label: str, problems: list[Problem]) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        message = _complaint(line.removesuffix("\r"))
        if message:
            problems.append(Problem(Place(number, f"{label}:{number}"), (), message))


def _complaint(line: str) -> str:
    if "\t" in line:
        return "has a tab: YAML is indented with spaces, and a profile has no tabs anywhere"
    if line.startswith("%"):
        return "has a directive (%): a profile has none"
    for character in line:
        if unicodedata.category(character) in _REFUSED:
            return f"has a control character (U+{ord(character):04X}): a profile is plain text"
    return ""


class _Builder:
    """Reads the parser's events into a document."""

    def __init__(self, text: str, label: str, document: Document) -> None:
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))
        self._label = label
        self._document = document
        self._values = 0

    def build(self) -> None:
        try:
            self._document.data = self._only_document()
        except _Stop:
            pass
        except MarkedYAMLError as error:
            self._problem(*_described(error))
        except (YAMLError, ValueError) as error:  # ValueError: an escape like "\U00110000"
            last = max(place.order for place in self._document.places.values())
            self._problem(last, (), f"not YAML, here or below: {clipped(str(error))}")

    def _only_document(self) -> object:
        started = False
        data: object = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if started:
                    self._problem(_line(event), (), "begins a second document (---): a profile is one document")
                    break
                started = True
                data = self._node(next(self._events), ())
        if not started or data is None:
            self._problem(1, (), "is empty; a profile has at least name and nodes")
        elif not isinstance(data, dict):
            self._problem(1, (), f"must be a mapping with name and nodes, not {shown(data)}")
        return data

    def _node(self, event: NodeEvent, location: Location) -> object:
        if location:
            self._document.places.setdefault(location, self._place(_line(event)))
        if isinstance(event, AliasEvent):
            self._problem(_line(event), location, f"is an alias (*{clipped(event.anchor)}): write the value out")
            return None
        self._check_properties(event, location)
        self._values += 1
        if len(location) > DEEPEST:
            self._problem(_line(event), location[:2], f"is nested more than {DEEPEST} levels deep")
            raise _Stop
        if self._values > MOST_VALUES:
            self._problem(_line(event), (), f"has more than {MOST_VALUES} values")
            raise _Stop
        if isinstance(event, MappingStartEvent):
            return self._mapping(location)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(location)
        return self._scalar(event, location)

    def _check_properties(self, event: Any, location: Location) -> None:
        if event.anchor:
            message = f"has an anchor (&{clipped(event.anchor)}): a profile has no anchors and aliases"
            self._problem(_line(event), location, message)
        if event.tag:
            self._problem(_line(event), location, f"has a tag ({clipped(str(event.tag))}): a profile has no tags")

    def _mapping(self, location: Location) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, location)
            place = (*location, key)
            if key in found:
                first = self._document.places[place].order
                message = f"is given twice: the first is on line {first}"
                self._problem(_line(event), place, message)
                self._node(next(self._events), place)
                continue
            self._document.places[place] = self._place(_line(event))
            found[key] = self._node(next(self._events), place)
        return found

    def _key(self, event: Any, location: Location) -> str:
        if not isinstance(event, ScalarEvent):
            self._problem(_line(event), location, "has a key that is a mapping or a list; a key is a word")
            raise _Stop
        self._check_properties(event, location)
        self._check_text(event, location)
        return str(event.value)

    def _sequence(self, location: Location) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            found.append(self._node(event, (*location, len(found))))
        return found

    def _scalar(self, event: Any, location: Location) -> object:
        self._check_text(event, location)
        plain = event.style is None and not event.tag
        return scalar(event.value) if plain else str(event.value)

    def _check_text(self, event: Any, location: Location) -> None:
        """Escapes like "\\x07" produce characters that the text itself must not contain."""
        if not event.value.replace("\n", " ").isprintable():
            self._problem(_line(event), location, f"{shown(event.value)} has characters that cannot be printed")

    def _place(self, line: int) -> Place:
        return Place(line, f"{self._label}:{line}")

    def _problem(self, line: int, location: Location, message: str) -> None:
        self._document.problems.append(Problem(self._place(line), location, message))
        if len(self._document.problems) > MOST_SHOWN:
            raise _Stop


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _described(error: MarkedYAMLError) -> tuple[int, Location, str]:
    """The parser's complaint, with its line."""
    message = f"not YAML: {clipped(str(error.problem))}"
    if error.context and error.context_mark:
        message += f" ({error.context} from line {error.context_mark.line + 1})"
    if any(sign in message for sign in _UNQUOTED):
        message += "; quote text with characters like ':' or '@'"
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1 if mark else 1), (), message
