"""Stacks: compose files for Docker Swarm, and what belongs to them. Nothing here knows a lab."""

from labgen.stacks.compose import ComposeFile, Constraint, External, StackService, constraint
from labgen.stacks.finder import find, name_of, shipped
from labgen.stacks.reading import read

__all__ = [
    "ComposeFile",
    "Constraint",
    "External",
    "StackService",
    "constraint",
    "find",
    "name_of",
    "read",
    "shipped",
]
