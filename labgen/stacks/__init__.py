"""Stacks: compose files for Docker Swarm, and what belongs to them. Nothing here knows a lab."""

from labgen.stacks.compose import (
    ComposeFile,
    Constraint,
    External,
    StackService,
    StoredKind,
    constraint,
    read,
)
from labgen.stacks.finder import find, name_of, shipped

__all__ = [
    "ComposeFile",
    "Constraint",
    "External",
    "StackService",
    "StoredKind",
    "constraint",
    "find",
    "name_of",
    "read",
    "shipped",
]
