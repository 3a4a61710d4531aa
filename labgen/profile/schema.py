"""The fields of a profile, and their defaults.

Sizes are written with their unit and kept as :class:`~labgen.profile.size.Size` (``.mib``, ``.gib``).
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field

from labgen.kinds import KINDS
from labgen.model import Balancer, Role
from labgen.orchestrators import DEFAULT, ORCHESTRATORS
from labgen.profile.balancer import BalancerFields, Given
from labgen.profile.constraints import (
    Description,
    Mirror,
    OneOf,
    Pattern,
    ScriptPath,
    SizeBetween,
    Subnet,
    Switch,
    Whole,
)
from labgen.profile.section import Section
from labgen.profile.size import Size
from labgen.storage import DRIVERS

MOST_NODES = 50
ROLES: tuple[Role, ...] = ("manager", "worker")

_WORD = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_WORD_RULE = "use a-z, 0-9 and '-', beginning and ending with a letter or digit"
Name = Annotated[str, Pattern(_WORD, "a name", _WORD_RULE, longest=40)]
# A node's name is its group's name and at most two digits; it must fit into tables and domain names.
GroupName = Annotated[str, Pattern(_WORD, "a group's name", _WORD_RULE, longest=30)]
BoxName = Annotated[
    str, Pattern(r"[a-z0-9][a-z0-9.-]*", "a box's name", "use a-z, 0-9, '.' and '-', e.g. debian13", longest=40)
]
LabelKey = Annotated[
    str,
    Pattern(
        r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?",
        "a label",
        "use letters, digits and '.', '_', '/', '-', beginning and ending with a letter or digit",
        longest=63,
    ),
]
LabelValue = Annotated[
    str,
    Pattern(r"[A-Za-z0-9._/-]+", "a label's value", "use letters, digits and '.', '_', '/', '-'", longest=63),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=20)]
Scripts = Annotated[tuple[Annotated[str, ScriptPath()], ...], Field(max_length=20)]


# The ranges are repeated in words, because a JSON Schema cannot compare sizes.
_CPUS = "Virtual processors of each node, 1 to 64."
_MEMORY = "Memory of each node, 512MiB to 256GiB."
_DISK = "Root disk of each node, in whole GiB, 10GiB to 2TiB. It grows as data is written."
_STORAGE = "The separate disk for Docker's data, in whole GiB, 1GiB to 2TiB."
_memory = SizeBetween("512MiB", "256GiB", "Docker needs")
_disk = SizeBetween("10GiB", "2TiB", "the boxes need", whole_gib=True)
_storage = SizeBetween("1GiB", "2TiB", "Docker's data needs", whole_gib=True)


class Resources(Section):
    """What each node gets, unless its group says otherwise."""

    cpus: Annotated[int, Whole(1, 64)] = Field(default=1, description=_CPUS, examples=[2])
    memory: Annotated[Size, _memory] = Field(default=Size(1024), description=_MEMORY)
    disk: Annotated[Size, _disk] = Field(default=Size(10240), description=_DISK)


class GroupResources(Section):
    """Settings that differ in one group; None: not set."""

    cpus: Annotated[int | None, Whole(1, 64)] = Field(default=None, description=_CPUS, examples=[2])
    memory: Annotated[Size | None, _memory] = Field(default=None, description=_MEMORY)
    disk: Annotated[Size | None, _disk] = Field(default=None, description=_DISK)


class Storage(Section):
    """Where Docker keeps its images and containers."""

    driver: Annotated[str, OneOf("a driver", lambda: DRIVERS)] = Field(
        default="overlay2", description="Docker's storage driver, the same on all nodes.", examples=["btrfs"]
    )
    size: Annotated[Size, _storage] = Field(default=Size(10240), description=_STORAGE)


class GroupStorage(Section):
    """Settings that differ in one group; None: not set."""

    size: Annotated[Size | None, _storage] = Field(default=None, description=_STORAGE)


class Network(Section):
    """The lab's own network."""

    subnet: Annotated[IPv4Network | None, Subnet()] = Field(
        default=None, description="A private IPv4 /24 (default: a free one)."
    )


class Group(Section):
    """Nodes that are alike."""

    count: Annotated[int, Whole(1, MOST_NODES)] = Field(default=1, description="How many nodes.", examples=[2])
    kind: Annotated[str | None, OneOf("a kind", lambda: KINDS)] = Field(
        default=None,
        description="What the nodes are for. Default: cluster members; without a cluster, machines with Docker.",
        examples=["plain"],
    )
    role: Annotated[Role, OneOf("a role", lambda: ROLES)] = Field(
        default="worker", description="The nodes' role in the cluster."
    )
    resources: GroupResources = Field(default=GroupResources(), description="Overrides of the profile's resources.")
    storage: GroupStorage = Field(default=GroupStorage(), description="Overrides of the profile's storage.")
    labels: Labels = Field(
        default={}, description="Docker node labels, added to the profile's.", examples=[{"rack": "a"}]
    )
    provision: Scripts = Field(
        default=(), description="Scripts to run after the profile's.", examples=[["scripts/extra.sh"]]
    )
    balancer: Annotated[BalancerFields | None, Given()] = Field(
        default=None,
        description="For kind balancer: its program, and the ports that it publishes.",
        examples=[{"program": "nginx", "publish": [80]}],
    )


@dataclass(frozen=True)
class NodeSpec:
    """One node, with everything that its group inherits.

    :param name: the group's name and a number, counted from 1, e.g. ``worker2``.
    :param role: empty for a machine outside the lab's cluster.
    :param memory_mib: in MiB. :param disk_gib: root disk in GiB. :param storage_gib: Docker's disk, if it has one, in
        GiB.
    :param provision: as written in the profile; see :attr:`labgen.profile.loader.Loaded.scripts`.
    """

    name: str
    group: str
    kind: str
    role: Role | Literal[""]
    cpus: int
    memory_mib: int
    disk_gib: int
    storage_gib: int
    labels: dict[str, str] = field(default_factory=dict)
    provision: tuple[str, ...] = ()
    balancer: Balancer | None = None


class Profile(Section):
    """A labgen profile: the description of a lab."""

    name: Name = Field(
        description="The profile's name, and the lab's default name: a-z, 0-9 and '-'.",
        examples=["three-node-btrfs"],
    )
    description: Annotated[str, Description()] = Field(
        default="", description="A one-line description.", examples=["One manager and two workers"]
    )
    box: BoxName = Field(default="debian13", description="The box that all nodes start from.", examples=["debian13"])
    nodes: Annotated[dict[GroupName, Group], Field(min_length=1)] = Field(
        description=f"Groups of nodes by name; group 'worker' has nodes worker1, worker2. At most {MOST_NODES}.",
        examples=[{"manager": {"count": 1, "role": "manager"}, "worker": {"count": 2}}],
    )
    resources: Resources = Field(default=Resources(), description="Resources of each node.")
    storage: Storage = Field(default=Storage(), description="Docker's storage.")
    orchestrator: Annotated[str, OneOf("an orchestrator", lambda: ORCHESTRATORS)] = Field(
        default=DEFAULT, description="Forms a cluster of the nodes; none: no cluster."
    )
    network: Network = Field(default=Network(), description="The network of the lab's nodes.")
    registry: Annotated[bool, Switch()] = Field(
        default=False, description="Whether the first manager has an image registry, which all nodes trust."
    )
    registry_mirror: Annotated[str | None, Mirror()] = Field(
        default=None, description="The URL from which all nodes pull Docker Hub's images (default: from Docker Hub)."
    )
    labels: Labels = Field(default={}, description="Docker node labels of all nodes.", examples=[{"rack": "a"}])
    provision: Scripts = Field(
        default=(),
        description="Scripts to run in all nodes: paths relative to the profile's directory.",
        examples=[["scripts/extra.sh"]],
    )

    def node_specs(self) -> tuple[NodeSpec, ...]:
        """Every node, managers first, otherwise in the order of the file."""
        return tuple(
            self._spec(name, group, number)
            for role in ROLES
            for name, group in self.nodes.items()
            if group.role == role
            for number in range(1, group.count + 1)
        )

    def kind_of(self, group: Group) -> str:
        """The purpose of a group's nodes."""
        return group.kind or ORCHESTRATORS[self.orchestrator].kind

    def is_outside(self, group: Group) -> bool:
        """Whether the lab has a cluster that the nodes of a group are not part of."""
        return bool(ORCHESTRATORS[self.orchestrator].noun) and not KINDS[self.kind_of(group)].is_member

    def _spec(self, name: str, group: Group, number: int) -> NodeSpec:
        return NodeSpec(
            name=f"{name}{number}",
            group=name,
            kind=self.kind_of(group),
            role="" if self.is_outside(group) else group.role,
            cpus=group.resources.cpus or self.resources.cpus,
            memory_mib=(group.resources.memory or self.resources.memory).mib,
            disk_gib=(group.resources.disk or self.resources.disk).gib,
            storage_gib=(group.storage.size or self.storage.size).gib,
            labels={**self.labels, **group.labels},
            provision=self.provision + group.provision,
            balancer=group.balancer.settings() if group.balancer else None,
        )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a profile, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Profile.model_json_schema()}
