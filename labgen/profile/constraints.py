"""Valid single values. Each kind checks a value, words the complaint and describes itself in the JSON Schema.

They are used as ``Annotated[type, Kind(...)]`` and replace pydantic's own check, which cannot tell the user
what would be valid, and which turns ``true`` into 1.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from labgen.profile import size
from labgen.profile.problems import shown, suggestion
from labgen.profile.size import Size
from labgen.subnets import conflict

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # RFC 1918
_SUBNETS_LEFT = "choose a /24 in 10.0.0.0/8 or 172.16.0.0/16"  # the private addresses that Docker leaves
LONGEST_DESCRIPTION = 200


def complaint(sentence: str) -> PydanticCustomError:
    """An error whose text is already worded for the user."""
    return PydanticCustomError("labgen", "{sentence}", {"sentence": sentence})


class Constraint(ABC):
    """One kind of value."""

    kept_as_object = False  # the value that check() returns is written to a file as its str()

    @abstractmethod
    def check(self, value: object) -> object:
        """The value as the profile stores it.

        :raises PydanticCustomError: it is not valid.
        """

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """The schema by which an editor can check it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.to_string_ser_schema() if self.kept_as_object else None
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.json_schema()


def text(value: object) -> str:
    """:raises PydanticCustomError: the value is not text."""
    if isinstance(value, str):
        return value
    quoted = f"; put it in quotes: '{shown(value)}'" if isinstance(value, bool | int | float | Decimal) else ""
    raise complaint(f"must be text, not {shown(value)}{quoted}")


@dataclass(frozen=True)
class Pattern(Constraint):
    """Text from a limited set of characters, which can go into Ruby, shell and XML unchanged.

    :param noun: what the value is, for the complaint: ``is not {noun}``.
    :param rule: what is allowed, for the complaint.
    :param longest: in characters.
    """

    pattern: str
    noun: str
    rule: str
    longest: int

    def check(self, value: object) -> str:
        given = text(value)
        if not re.fullmatch(self.pattern, given, re.ASCII):
            raise complaint(f"{shown(given)} is not {self.noun}: {self.rule}")
        if len(given) > self.longest:
            raise complaint(f"{shown(given)} is too long: {len(given)} characters, at most {self.longest}")
        return given

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": self.longest}


@dataclass(frozen=True)
class Whole(Constraint):
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def check(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise complaint(f"must be a whole number from {self.low} to {self.high}, not {shown(value)}")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Switch(Constraint):
    """``true`` or ``false``."""

    def check(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise complaint(f"must be true or false, not {shown(value)}")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class SizeBetween(Constraint):
    """An amount of memory or disk.

    :param low: the minimum, e.g. ``512MiB``, and :param high: the maximum.
    :param why: who needs the minimum, e.g. ``Docker needs``.
    :param whole_gib: only whole GiB, because Vagrant accepts nothing else.
    """

    low: str
    high: str
    why: str
    whole_gib: bool = False
    kept_as_object = True

    def check(self, value: object) -> Size:
        given = value if isinstance(value, Size) else self._parsed(value)
        words = shown(str(value))
        if given < Size.parse(self.low):
            raise complaint(f"{words} is too little: {self.why} at least {self.low}")
        if given > Size.parse(self.high):
            raise complaint(f"{words} is too much: at most {self.high}")
        if self.whole_gib and given.mib % 1024:
            raise complaint(f"{words} is not a whole number of GiB; did you mean '{given.gib + 1}GiB'?")
        return given

    @staticmethod
    def _parsed(value: object) -> Size:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            unit = "MiB" if value >= 256 else "GiB"
            raise complaint(f"{shown(value)} has no unit; did you mean '{shown(value)}{unit}'?")
        if not isinstance(value, str):
            raise complaint(f"must be a size like 512MiB or 10GiB, not {shown(value)}")
        try:
            return Size.parse(value)
        except ValueError as error:
            raise complaint(f"{shown(value)} {error}") from error

    def json_schema(self) -> dict[str, Any]:
        examples = [self.low, "10GiB"] if self.whole_gib else [self.low, "1GiB", "1.5GiB"]
        return {"type": "string", "pattern": f"^{size.PATTERN}$", "examples": examples}


@dataclass(frozen=True)
class OneOf(Constraint):
    """One of a few words.

    :param choices: evaluated at each check, so that a new driver is accepted without an edit here.
    """

    noun: str
    choices: Callable[[], Iterable[str]]

    def check(self, value: object) -> object:
        choices = sorted(self.choices())
        if not isinstance(value, str):
            raise complaint(f"must be one of {', '.join(choices)}, not {shown(value)}")
        if value in choices:
            return value
        raise complaint(f"{shown(value)} is not {self.noun}{suggestion(value, choices)}")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(self.choices())}


class Description(Constraint):
    """Free text, one printable line. The only text of a profile that may contain quotes."""

    def check(self, value: object) -> str:
        given = text(value)
        if "\n" in given or not given.isprintable():
            raise complaint(f"must be one line of printable text, not {shown(given)}")
        if len(given) > LONGEST_DESCRIPTION:
            raise complaint(f"is too long: {len(given)} characters, at most {LONGEST_DESCRIPTION}")
        return given

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": LONGEST_DESCRIPTION}


class Subnet(Constraint):
    """A private IPv4 network of 256 addresses."""

    kept_as_object = True

    def check(self, value: object) -> IPv4Network:
        if isinstance(value, IPv4Network):
            return value
        given = text(value)
        try:
            subnet = IPv4Network(given, strict=False)
        except ValueError as error:
            raise complaint(f"{shown(given)} is not an IPv4 subnet; write it like 10.77.5.0/24") from error
        if subnet.prefixlen != 24:
            better = f"{subnet.network_address}/24"
            raise complaint(f"{shown(given)} is not a /24; did you mean '{better}'?")
        if not any(subnet.subnet_of(private) for private in PRIVATE):
            raise complaint(f"{shown(given)} is not private; {_SUBNETS_LEFT}")
        if str(subnet) != given:
            raise complaint(f"{shown(given)} is not a subnet's own address; did you mean '{subnet}'?")
        if other := conflict(given, ()):
            raise complaint(f"{shown(given)} overlaps {other}; {_SUBNETS_LEFT}")
        return subnet

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){2}\.0/24$", "examples": ["10.77.5.0/24"]}


class Mirror(Constraint):
    """The URL of a mirror, as Docker accepts it: without a user, a path or a query."""

    pattern = r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
    longest = 200

    def check(self, value: object) -> str:
        given = text(value)
        found = re.fullmatch(self.pattern, given.removesuffix("/"), re.ASCII)
        if found and len(given) <= self.longest and 0 < int(found["port"] or 1) < 2**16:
            return given.removesuffix("/")
        if "://" not in given and re.fullmatch(self.pattern, f"https://{given}", re.ASCII):
            raise complaint(f"{shown(given)} has no scheme; did you mean 'https://{given}'?")
        allowed = "http:// or https://, a name or IPv4 address, optionally a port, and nothing after it"
        raise complaint(f"{shown(given)} is not a mirror's URL: {allowed}")

    def json_schema(self) -> dict[str, Any]:
        plain = re.sub(r"\?P<[a-z]+>", "", self.pattern)  # JSON Schema's expressions write names differently
        examples = ["https://mirror.example.org"]
        return {"type": "string", "pattern": f"^{plain}/?$", "maxLength": self.longest, "examples": examples}


class ScriptPath(Constraint):
    """A file's path relative to the profile's directory; it cannot leave that directory."""

    pattern = r"[A-Za-z0-9._][A-Za-z0-9._-]*(/[A-Za-z0-9._][A-Za-z0-9._-]*)*"
    longest = 200

    def check(self, value: object) -> str:
        given = text(value)
        if given.startswith("/"):
            raise complaint(f"{shown(given)} must be relative to the profile's directory")
        if ".." in given.split("/"):
            raise complaint(f"{shown(given)} must not leave the profile's directory: no '..'")
        if len(given) > self.longest or not re.fullmatch(self.pattern, given):
            allowed = f"A-Z, a-z, 0-9, '.', '_', '-' and '/', at most {self.longest} characters"
            raise complaint(f"{shown(given)} is not a script's path: {allowed}")
        return str(PurePosixPath(given))

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": self.longest}
