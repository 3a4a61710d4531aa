"""Whether what was read from a file of ours is of the types that the code declares for it."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def checked(value: T, kind: Any) -> T:
    """The value as it is.

    :param kind: a dataclass, or a type as annotations have it.
    :raises TypeError: it, or something in it, is of another type.
    """
    if not _fits(value, kind):
        raise TypeError(f"it does not hold what it should: {getattr(kind, '__name__', kind)}")
    return value


def _fits(value: object, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind).items()
        return type(value) is kind and all(_fits(getattr(value, name), each) for name, each in hints)
    if origin is Literal:
        return value in arguments
    if origin is UnionType:
        return any(_fits(value, each) for each in arguments)
    if origin in {tuple, frozenset} and isinstance(value, origin):
        alike = origin is frozenset or arguments[-1] is Ellipsis
        kinds = arguments[:1] * len(value) if alike else arguments
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if isinstance(value, Mapping) and origin is Mapping:
        return all(_fits(key, arguments[0]) and _fits(each, arguments[1]) for key, each in value.items())
    return type(value) is kind
