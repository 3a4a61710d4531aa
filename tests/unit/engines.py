"""Docker engines in memory, which behave like real ones as far as the Swarm's recipe uses them."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

from labgen.engine import EngineImage, EngineInfo, JoinTokens, Service, Stored, SwarmNode, Task
from labgen.errors import ClusterError
from labgen.orchestrators.swarm_moved import LISTENING, RESTART, TELL
from labgen.records.inspections import InspectedNetwork, InspectedService
from labgen.ssh import Result
from labgen.storage import EngineStorage


class FakeServices:
    """What runs in the Swarm, as its managers report it; tests fill it."""

    def __init__(self) -> None:
        self.running: list[Service] = []
        self.all_tasks: list[Task] = []
        self.all_networks: dict[str, str] = {}
        self.all_configs: list[Stored] = []
        self.all_secrets: list[Stored] = []
        self.contents: dict[str, str] = {}  # of secrets created here

    def listed(self, stack: str = "") -> list[Service]:
        return [each for each in self.running if stack in {"", each.stack}]

    def tasks(self, service: Service | None = None) -> list[Task]:
        return [each for each in self.all_tasks if service is None or each.service_id == service.id]

    def inspected(self) -> list[InspectedService]:
        return [
            InspectedService(each.name, each.stack, each.image, "", each.mode, each.desired) for each in self.running
        ]

    def inspected_networks(self) -> list[InspectedNetwork]:
        return [InspectedNetwork(name, "overlay") for name in sorted(self.all_networks)]

    def networks(self) -> dict[str, str]:
        return dict(self.all_networks)

    def configs(self) -> list[Stored]:
        return list(self.all_configs)

    def secrets(self) -> list[Stored]:
        return list(self.all_secrets)

    def create_secret(self, name: str, content: str) -> None:
        self.all_secrets.append(Stored(name, {}))
        self.contents[name] = content

    def remove(self, stack: str) -> None:
        gone = {each.id for each in self.listed(stack)}
        self.running = [each for each in self.running if each.id not in gone]
        self.all_tasks = [each for each in self.all_tasks if each.service_id not in gone]
        self.all_networks = {name: owner for name, owner in self.all_networks.items() if owner != stack}


class Cloud:
    """The Swarm's state: the entries of its nodes."""

    def __init__(self) -> None:
        self.entries: dict[str, SwarmNode] = {}
        self.born = 0
        self.leaderless_calls = 0
        self.outvoted: set[str] = set()  # managers of before --force-new-cluster: in no quorum any more
        self.is_off: Callable[[str], bool] = lambda _hostname: False
        self.services = FakeServices()
        self.memory = 0  # of each node, in bytes
        self.unlock_key = ""  # that managers need when they restart
        self.pushed: set[str] = set()  # what the lab's registry has
        self.refuses_pushes = ""  # its reason

    def admit(self, hostname: str, role: str) -> str:
        self.born += 1
        node_id = f"id{self.born}"
        self.entries[node_id] = SwarmNode(
            node_id, hostname, role, "active", "ready", self.born == 1, {}, memory=self.memory
        )
        return node_id


class FakeEngine:
    def __init__(self, name: str, cloud: Cloud) -> None:
        self.name, self.cloud, self.node_id, self.calls = name, cloud, "", list[str]()
        self.driver = "btrfs"
        self.log_driver = "json-file"
        self.healthy: set[str] = set()  # the images that define a health check
        self.address = ""
        self.looks_for: tuple[str, ...] = ()  # managers' addresses, as long as it has not found one
        self.trouble = ""  # Docker's LocalNodeState, if it is "locked" or "error"
        self.error = ""
        self.broken = ""  # why its machine does not do what it is told
        self.stuck = False  # it cannot stop its own node in time, until it is started again
        self.gossips = True
        self.takes_over = False  # the other managers are in no quorum then
        self.kept: dict[str, EngineImage] = {}
        self.services = cloud.services
        self.all_volumes: dict[str, str] = {}
        self.sick = ""  # what an unhealthy container's check printed

    def info(self) -> EngineInfo:
        entry = self.cloud.entries.get(self.node_id)
        manager = entry is not None and entry.role == "manager"
        state = self.trouble or ("pending" if self.looks_for else "active" if self.node_id else "inactive")
        storage = EngineStorage(self.driver, "extfs" if self.driver == "overlay2" else "btrfs")
        manager = manager and not self.trouble
        return EngineInfo(
            storage,
            "26.1.5",
            "6.12",
            state,
            self.error,
            "c" if manager else "",
            self.node_id,
            manager,
            self.looks_for,
            self.address,
            self.log_driver,
        )

    def has_health_check(self, name: str) -> bool | None:
        return name in self.healthy if any(name in each.names for each in self.kept.values()) else None

    @property
    def target(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.name)

    def run(self, command: Sequence[str], *, limit: float = 60) -> Result:
        """Stands in for the connection to its machine."""
        if command == LISTENING:
            return Result(0, "LISTEN" if self.gossips else "", "")
        if command == RESTART and not self.broken:
            self.calls.append("restart")
            self.stuck, self.gossips = False, True
            return Result(0, "", "")
        if command == RESTART:
            return Result(1, "", self.broken)
        return self._tell(command)

    def _tell(self, command: Sequence[str]) -> Result:
        """Replaces the managers' addresses and restarts the engine."""
        *_, program, _, managers = command
        assert program == TELL
        if self.broken:
            return Result(1, "", self.broken)
        self.calls.append(f"managers {managers}")
        self.cloud.entries[self.node_id] = replace(self.cloud.entries[self.node_id], state="ready")
        self.looks_for = ()
        return Result(0, "", "")

    def swarm_init(self, address: str, pool: str) -> str:
        self.calls.append(f"init {address} {pool}")
        self.address = address
        self.node_id = self.cloud.admit(self.name, "manager")
        return self.node_id

    def swarm_join(self, address: str, manager: str, token: str) -> None:
        self.calls.append(f"join {manager} {token}")
        self.address = address
        self.node_id = self.cloud.admit(self.name, token)

    def swarm_take_over(self, address: str) -> None:
        """The other nodes are still listed, as down."""
        self.calls.append(f"take over {address}")
        if self.stuck:
            raise ClusterError(f"{self.name}: taking the Swarm over failed", "context deadline exceeded")
        self.address = address
        if self.takes_over:
            others = {key for key, entry in self.cloud.entries.items() if entry.hostname != self.name}
            self.cloud.outvoted = {key for key in others if self.cloud.entries[key].role == "manager"}

    def swarm_unlock(self, key: str) -> None:
        self.calls.append("unlock")
        if key != "SWMKEY-1-right":
            raise ClusterError("unlocking its Swarm failed", "invalid key")
        self.trouble = ""

    def swarm_leave(self) -> None:
        """The managers consider the node alive until it has missed some heartbeats."""
        self.calls.append("leave")
        self.node_id, self.looks_for = "", ()

    def images(self) -> list[EngineImage]:
        return list(self.kept.values())

    def pull_complaint(self, name: str) -> str:
        return "" if name in self.cloud.pushed else "no route to the registry"

    def push_image(self, name: str) -> Iterable[tuple[int, int]]:
        if self.cloud.refuses_pushes:
            raise ClusterError(f"{self.name}: pushing the image {name} failed", self.cloud.refuses_pushes)
        assert any(name in each.names for each in self.kept.values())
        yield 2**20, 2**21
        self.cloud.pushed.add(name)

    def volumes(self) -> dict[str, str]:
        return dict(self.all_volumes)

    def health_output(self, container: str) -> str:
        return self.sick

    def image_id(self, name: str) -> str:
        return next(each.id for each in self.kept.values() if name in each.names)

    def save_image(self, name: str) -> Iterable[bytes]:
        identity = next(each.id for each in self.kept.values() if name in each.names)
        config = identity.removeprefix("sha256:") + ".json"
        manifest = json.dumps([{"Config": config, "RepoTags": [name], "Layers": []}]).encode()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("manifest.json")
            member.size = len(manifest)
            tar.addfile(member, io.BytesIO(manifest))
        return [buffer.getvalue()]

    def load_images(self, archive: Iterable[bytes]) -> None:
        """As Docker does, with the names that the archive has."""
        self.calls.append("load")
        with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
            manifest = tar.extractfile("manifest.json")
            assert manifest
            for each in json.load(manifest):
                identity = "sha256:" + each["Config"].removesuffix(".json")
                self.kept[identity] = EngineImage(identity, tuple(each["RepoTags"] or ()), 5000)

    def name_image(self, image_id: str, name: str) -> None:
        image = self.kept[image_id]
        self.kept[image_id] = replace(image, names=(*image.names, name))

    def rotate_join_tokens(self) -> None:
        self.calls.append("rotate")

    def join_tokens(self) -> JoinTokens:
        return JoinTokens({"manager": "manager", "worker": "worker"})

    def swarm_nodes(self) -> list[SwarmNode]:
        if self.cloud.leaderless_calls:
            self.cloud.leaderless_calls -= 1
            raise ClusterError("the swarm does not have a leader")
        if not self.info().is_manager:
            raise ClusterError("this node is not a swarm manager")
        known = self.cloud.entries.values()
        managers = [each for each in known if each.role == "manager" and each.id not in self.cloud.outvoted]
        if 2 * len([each for each in managers if not self.cloud.is_off(each.hostname)]) <= len(managers):
            raise ClusterError("listing the nodes failed", "The swarm does not have a leader.")
        entries = self.cloud.entries.values()
        return [replace(each, state="down") if self.cloud.is_off(each.hostname) else each for each in entries]

    def update_node(self, node_id: str, role: str, labels: Mapping[str, str]) -> None:
        self.calls.append(f"update {node_id}")
        if node_id in self.cloud.outvoted:
            raise ClusterError("setting a node's role and labels failed", "can't find manager in raft memberlist")
        self.cloud.entries[node_id] = replace(self.cloud.entries[node_id], role=role, labels=labels)

    def set_availability(self, node_id: str, availability: str) -> None:
        self.cloud.entries[node_id] = replace(self.cloud.entries[node_id], availability=availability)

    def unlock_key(self) -> str:
        return self.cloud.unlock_key

    def heartbeat(self) -> float:
        return 5.0

    def remove_node(self, node_id: str) -> None:
        if self.cloud.entries[node_id].role == "manager" and node_id not in self.cloud.outvoted:
            raise ClusterError("node is a cluster manager and is a member of the raft cluster")
        del self.cloud.entries[node_id]
