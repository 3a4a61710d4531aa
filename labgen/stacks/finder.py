"""Stacks by name, and compose files by path."""

import re
from dataclasses import dataclass
from pathlib import Path

from labgen import paths
from labgen.errors import UsageError
from labgen.suggestions import near

USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
LONGEST = 40  # of Swarm's 63 characters for a service's name, which begins with the stack's
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class ShippedStack:
    """A stack that comes with labgen. :param about: the first sentence of its compose file's comment."""

    name: str
    path: Path
    about: str


def shipped() -> list[ShippedStack]:
    found = sorted(paths.shipped_stacks().glob(f"*/{USUAL[0]}"))
    return [ShippedStack(path.parent.name, path, _about(path)) for path in found]


def find(source: str) -> Path:
    """A compose file. :param source: the name of a stack, a file, or the directory of one.

    :raises UsageError: there is none.
    """
    if by_name := {stack.name: stack.path for stack in shipped()}.get(source):
        return by_name
    given = Path(source)
    if given.is_dir():
        for each in USUAL:
            if (given / each).is_file():
                return given / each
        raise UsageError(f"there is no compose file in {source}", f"looked for {', '.join(USUAL)}")
    if given.exists():
        return given
    hint = near(source, [stack.name for stack in shipped()], "stacks")
    raise UsageError(f"{source!r} is neither a stack nor a compose file", hint, "labgen stack list")


def name_of(path: Path, given: str, in_file: str) -> str:
    """The name under which a compose file is deployed, by Compose's rules if none is given.

    :param given: by the user; may be empty. :param in_file: the file's ``name``; may be empty.
    :raises UsageError: it is not a name for a stack.
    """
    stem = path.resolve().parent.name if path.name in USUAL else path.stem
    found = given or in_file or re.sub(r"[^a-z0-9_-]", "", stem.lower()).lstrip("_-")
    if not _NAME.fullmatch(found) or len(found) > LONGEST:
        raise UsageError(
            f"{found or stem!r} is not a valid stack name",
            f"lower-case letters, digits, '-' and '_', at most {LONGEST} characters",
            "Use --name NAME",
        )
    return found


def _about(path: Path) -> str:
    lines = path.read_text().splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    return comment.partition(". ")[0]
