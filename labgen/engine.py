"""A Docker engine in a machine. The only importer of the docker SDK."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import requests.exceptions

from labgen.errors import ClusterError
from labgen.ssh import Connection
from labgen.storage import EngineStorage

SOCKET = "/run/docker.sock"
# The version of Docker 20.10, the oldest engine in a box; engines up to 28 accept it. Negotiating one costs a call.
API_VERSION = "1.41"
LIMIT = 180  # seconds for one call; joining a Swarm is one, and emulated machines are slow


@dataclass(frozen=True)
class EngineInfo:
    """What an engine reports about itself.

    :param swarm_state: Docker's LocalNodeState: inactive, pending, active, error or locked.
    :param swarm_id: the id of its cluster; only managers have it. :param node_id: its own id.
    :param managers: the addresses at which it contacts the cluster's managers.
    :param address: the address at which the other nodes contact it.
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


@dataclass(frozen=True)
class SwarmNode:
    """A node as a Swarm's managers see it."""

    id: str
    hostname: str
    role: str
    availability: str
    state: str
    leader: bool
    labels: Mapping[str, str]


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


class Engine:
    """Calls to one engine. Every call raises ClusterError when the engine refuses or does not answer."""

    def __init__(self, name: str, client: docker.DockerClient) -> None:
        self.name = name
        self._client = client

    def info(self) -> EngineInfo:
        with self._explained("asking Docker for its state"):
            info = self._client.info()
        status = dict(info.get("DriverStatus") or [])
        driver = info["Driver"]
        # The btrfs driver does not report its backing file system: it cannot run on any other.
        backing = status.get("Backing Filesystem") or ("btrfs" if driver == "btrfs" else "")
        swarm = info["Swarm"]
        return EngineInfo(
            storage=EngineStorage(driver, backing),
            version=info["ServerVersion"],
            kernel=info["KernelVersion"],
            swarm_state=swarm["LocalNodeState"],
            swarm_error=swarm.get("Error", ""),
            swarm_id=(swarm.get("Cluster") or {}).get("ID", ""),
            node_id=swarm.get("NodeID", ""),
            is_manager=swarm.get("ControlAvailable", False),
            managers=tuple(each["Addr"].rpartition(":")[0] for each in swarm.get("RemoteManagers") or []),
            address=swarm.get("NodeAddr", ""),
        )

    def swarm_init(self, address: str, pool: str) -> str:
        """Makes this engine the first manager of a new Swarm.

        :param address: the address at which the other nodes reach it. :param pool: CIDR from which overlay networks
            are allocated.
        :return: the engine's node id.
        """
        with self._explained("starting the Swarm"):
            return str(self._client.swarm.init(advertise_addr=address, default_addr_pool=[pool], subnet_size=24))

    def swarm_take_over(self, address: str) -> None:
        """Makes this engine the only manager of the Swarm on its disk, at a new address.

        Services, networks, secrets and configs are kept; the other nodes have to join again.
        """
        with self._explained("taking the Swarm over"):
            self._client.swarm.init(advertise_addr=address, force_new_cluster=True)

    def rotate_join_tokens(self) -> None:
        """Invalidates the current tokens."""
        with self._explained("renewing the join tokens"):
            self._client.swarm.reload()
            self._client.swarm.update(rotate_worker_token=True, rotate_manager_token=True)

    def swarm_join(self, address: str, manager: str, token: str) -> None:
        """Joins a manager's Swarm.

        :param address: this engine's. :param manager: the manager's address.
        """
        with self._explained(f"joining the Swarm of {manager}"):
            self._client.swarm.join([f"{manager}:2377"], token, advertise_addr=address)

    def swarm_unlock(self, key: str) -> None:
        with self._explained("unlocking its Swarm"):
            self._client.swarm.unlock(key)

    def swarm_leave(self) -> None:
        with self._explained("leaving its Swarm"):
            self._client.swarm.leave(force=True)

    def join_tokens(self) -> JoinTokens:
        with self._explained("reading the join tokens"):
            self._client.swarm.reload()
            tokens = self._client.swarm.attrs["JoinTokens"]
        return JoinTokens({"manager": tokens["Manager"], "worker": tokens["Worker"]})

    def swarm_nodes(self) -> list[SwarmNode]:
        with self._explained("listing the Swarm's nodes"):
            return [_node(node.attrs) for node in self._client.nodes.list()]

    def update_node(self, node_id: str, role: str, labels: Mapping[str, str]) -> None:
        """Gives a node its role and adds labels; its other settings are kept (availability, other labels)."""
        with self._explained("setting a node's role and labels"):
            node = self._client.nodes.get(node_id)
            spec = dict(node.attrs["Spec"])
            spec["Role"] = role
            spec["Labels"] = {**(spec.get("Labels") or {}), **labels}
            node.update(spec)

    def remove_node(self, node_id: str) -> None:
        with self._explained("removing the entry of a former node"):
            self._client.api.remove_node(node_id, force=True)

    def images(self) -> list[EngineImage]:
        with self._explained("listing the images"):
            listed = self._client.api.images()
        return [EngineImage(each["Id"], tuple(each["RepoTags"] or ()), each["Size"]) for each in listed]

    def load_images(self, archive: Iterable[bytes]) -> None:
        """:param archive: a file as ``docker save`` writes it, piece by piece."""
        with self._explained("loading the image"):
            self._client.images.load(archive)  # type: ignore[arg-type]  # requests sends any iterable

    def name_image(self, image_id: str, name: str) -> None:
        """Gives an image a further name. :param name: with its tag."""
        repository, _, tag = name.rpartition(":")
        with self._explained(f"naming the image {name}"):
            self._client.api.tag(image_id, repository, tag)

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except docker.errors.APIError as error:
            raise ClusterError(f"{self.name}: {doing} failed", str(error.explanation or error)) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise ClusterError(f"{self.name}: {doing} failed", str(error)) from error


@contextlib.contextmanager
def connect(connection: Connection, limit: float = LIMIT) -> Iterator[Engine]:
    """The engine of a machine, reached through our connection to it. Only the first call shows whether it answers.

    :param limit: seconds for one call.
    """
    with connection.forwarded(SOCKET) as socket:
        client = docker.DockerClient(f"unix://{socket}", version=API_VERSION, timeout=int(limit))
        with contextlib.closing(client):
            yield Engine(connection.target.name, client)


def _node(attrs: Mapping[str, Any]) -> SwarmNode:
    return SwarmNode(
        id=attrs["ID"],
        hostname=attrs["Description"].get("Hostname", ""),
        role=attrs["Spec"]["Role"],
        availability=attrs["Spec"]["Availability"],
        state=attrs["Status"]["State"],
        leader=bool((attrs.get("ManagerStatus") or {}).get("Leader")),
        labels=attrs["Spec"].get("Labels") or {},
    )
