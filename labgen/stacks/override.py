"""A second compose file, by which Docker uses the names and files that labgen chose.

Images that were built are named by their versions. What is stored in a Swarm cannot change: Docker refuses a config
with a changed content, so a changed one gets a new name, made from its content. A secret cannot be read back; the
mark of its content is a label. Marks need a key, so that nobody can find out a weak password by trying.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from labgen.errors import StackError
from labgen.stacks.compose import STORED, ComposeFile, StoredFile

MARK = "labgen.content"  # a label
LENGTH = 8  # characters of the mark in a name


@dataclass(frozen=True)
class Version:
    """A config or secret as it will be deployed.

    :param is_new: under another name than the first, because its content has changed.
    """

    of: StoredFile
    name: str
    mark: str
    is_new: bool

    @property
    def path(self) -> str:
        """Of its file, relative to the directory where the manager has it."""
        return f"{self.of.kind}/{self.of.key}"


def versions(
    compose: ComposeFile, stack: str, existing: Mapping[str, Mapping[str, str]], key: bytes
) -> list[Version]:
    """Which of a stack's configs and secrets are new.

    :param existing: the marks of those in the Swarm, by kind and name; empty if unknown. :param key: see above.
    :raises StackError: a file cannot be read, or the compose file's version has no names for them.
    """
    found = []
    for each in compose.stored:
        mark = _mark(each, key)
        first = each.name or f"{stack}_{each.key}"
        is_new = existing[each.kind].get(first, mark) != mark
        if is_new and _is_before_names(compose.version):
            raise StackError(
                f"the content of {each.kind}.{each.key} has changed, and cannot get a new name",
                f"{compose.path} has version {compose.version}",
                'Change it to version: "3.8"',
            )
        found.append(Version(each, f"{first}_{mark[:LENGTH]}" if is_new else first, mark, is_new))
    return found


def text(compose: ComposeFile, chosen: list[Version], directory: str) -> str:
    """The second compose file, in JSON, which YAML includes. :param directory: where the manager has the files."""
    content: dict[str, object] = {"version": compose.version} if compose.version else {}
    if built := {each.name: {"image": each.image} for each in compose.services if each.is_built}:
        content["services"] = built
    for kind in STORED:
        if entries := {each.of.key: _entry(each, directory) for each in chosen if each.of.kind == kind}:
            content[kind] = entries
    return json.dumps(content, indent=2)


def _entry(version: Version, directory: str) -> dict[str, object]:
    given = version.of.entry
    named = {"name": version.name} if version.is_new else {}
    return {
        **given,
        **named,
        "file": f"{directory}/{version.path}",
        "labels": {**given["labels"], MARK: version.mark},
    }


def _mark(stored: StoredFile, key: bytes) -> str:
    try:
        content = stored.file.read_bytes()
    except OSError as error:
        raise StackError(f"{stored.file} cannot be read", str(error)) from error
    return hmac.new(key, content, hashlib.sha256).hexdigest()[:32]


def _is_before_names(version: str) -> bool:
    """Configs and secrets have a name since version 3.5."""
    major, _, minor = version.partition(".")
    return bool(version) and (major, minor) in {("3", each) for each in ("", "0", "1", "2", "3", "4")}
