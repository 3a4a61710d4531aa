"""A bundle's description of itself. It is read from untrusted files: every field has a format and a limit."""

import json
import re
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labgen.errors import BundleError

SCHEMA = 2  # 1 for a bundle that older versions of labgen can use
LARGEST = 8 * 2**20  # bytes of JSON
MOST_PARTS = 2000
LARGEST_PART = 2**43  # bytes

Depth = Literal["recipe", "disks", "running"]
Word = Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")]
Device = Annotated[str, Field(pattern=r"^(usb|virtio-serial|vd[a-z]|interface|memballoon|rng)$")]
Slots = dict[Device, Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-7]$")]]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# Allowed names of parts; any other name is refused. "swarm" is in bundles that 0.1.0 wrote.
PART = re.compile(
    r"profile\.yaml|Vagrantfile|network\.xml|up|README\.md|nodes|labels|swarm"
    r"|(guest|box|disks|memory|secrets)(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){1,6}"
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Part(_Part):
    """:param name: relative to the bundle's top directory. :param size: in bytes."""

    name: Annotated[str, Field(max_length=250)]
    size: Annotated[int, Field(ge=0, le=LARGEST_PART)]
    sha256: Sha256
    executable: bool = False

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if not PART.fullmatch(self.name) or str(PurePosixPath(self.name)) != self.name:
            raise ValueError(f"{self.name!r} is not a valid part name")
        return self


class Machine(_Part):
    """QEMU's machine type and the CPU model of the exported machines; empty if there were none.

    :param accelerator: what ran them. :param processor: the host's, as named by libvirt.
    :param slots: PCI slot and function, such as ``3.0``, of the devices that their memory depends on.
    :param other_slots: the same, by node name, for nodes with other devices; since schema 2.
    """

    type: Word
    cpu: Word
    accelerator: Literal["", "kvm", "tcg"] = ""
    processor: Word = ""
    slots: Slots = {}
    other_slots: Annotated[dict[Word, Slots], Field(max_length=100)] = {}

    def slots_of(self, node: str) -> Slots:
        """The PCI slots of one node's devices. :param node: its name."""
        return self.other_slots.get(node, self.slots)


class BoxFacts(_Part):
    """The box that the machines' root disks are based on.

    :param sha256: of its image; empty if no disk is included. :param packages: exact versions, by name.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    version: Annotated[str, Field(pattern=r"^[0-9]{1,10}(\.[0-9]{1,10}){0,3}$")]
    sha256: Literal[""] | Sha256
    packages: Annotated[dict[Word, Word], Field(max_length=5000)]


class Manifest(_Part):
    """:param subnet: the lab's subnet, CIDR. :param created: UTC. :param tools: versions, by name."""

    schema_version: Literal[1, 2] = 1
    lab: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    depth: Depth
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
    subnet: Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.0/24$")]
    tools: Annotated[dict[Word, Word], Field(max_length=20)]
    machine: Machine
    box: BoxFacts
    parts: Annotated[tuple[Part, ...], Field(max_length=MOST_PARTS)] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [part.name.casefold() for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError("a part is listed twice")
        IPv4Network(self.subnet)  # raises ValueError if it is none
        if self.depth != "recipe" and not self.box.sha256:
            raise ValueError("the box of the disks is not given")
        return self

    def to_bytes(self) -> bytes:
        later = {} if self.schema_version > 1 else {"machine": {"other_slots"}}
        return (json.dumps(self.model_dump(mode="json", exclude=later), indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes) -> Manifest:
    """:raises BundleError: it is not a manifest, or was written by a newer labgen."""
    try:
        content = json.loads(
            data.decode("ascii"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise BundleError("the bundle's manifest is not valid JSON", str(error)[:300]) from error
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise BundleError(
            "the bundle was written by a newer labgen",
            f"its manifest has schema {schema}; this labgen reads up to {SCHEMA}",
            "Update labgen, or ask the sender for a bundle written by an older one.",
        )
    try:
        return Manifest.model_validate_json(json.dumps(content))
    except (ValidationError, ValueError, RecursionError) as error:
        raise BundleError("the bundle's manifest is not valid", _in_words(error)) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is given twice")
    return content


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:300]
    return "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}"[:200] for each in error.errors()[:5])
