"""What engines and Swarms report about themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labgen.storage import EngineStorage


@dataclass(frozen=True)
class EngineInfo:
    """What an engine reports about itself.

    :param swarm_state: Docker's LocalNodeState: inactive, pending, active, error or locked.
    :param swarm_id: the id of its cluster; only managers have it. :param node_id: its own id.
    :param managers: the addresses at which it contacts the cluster's managers.
    :param address: the address at which the other nodes contact it. :param log_driver: of containers by default.
    """

    storage: EngineStorage
    version: str
    kernel: str
    swarm_state: str
    swarm_error: str
    swarm_id: str
    node_id: str
    is_manager: bool
    managers: tuple[str, ...] = ()
    address: str = ""
    log_driver: str = ""


@dataclass(frozen=True)
class SwarmNode:
    """A node as a Swarm's managers see it.

    :param engine_labels: from its daemon.json. :param nano_cpus: its processors, in billionths.
    :param memory: in bytes.
    """

    id: str
    hostname: str
    role: str
    availability: str
    state: str
    leader: bool
    labels: Mapping[str, str]
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    platform: tuple[str, str] = ("linux", "x86_64")
    nano_cpus: int = 0
    memory: int = 0


@dataclass(frozen=True)
class EngineImage:
    """An image that an engine has. :param names: with tags; may be empty. :param size: in bytes, unpacked."""

    id: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class JoinTokens:
    """The tokens with which nodes join a Swarm. Kept in memory only; not shown when the object is printed."""

    _by_role: Mapping[str, str]

    def of(self, role: str) -> str:
        return self._by_role[role]

    def __repr__(self) -> str:
        return "JoinTokens(...)"
