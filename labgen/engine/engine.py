"""A Docker engine in a machine."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import docker

from labgen.engine.explained import explained
from labgen.engine.facts import EngineImage, EngineInfo, JoinTokens, SwarmNode
from labgen.engine.inspected import STACK
from labgen.engine.services import Services
from labgen.errors import ClusterError
from labgen.storage import EngineStorage

DEFAULT_HEARTBEAT = 5_000_000_000  # nanoseconds; https://docs.docker.com/reference/cli/docker/swarm/update/


class Engine:
    """Calls to one engine. Every call raises ClusterError when the engine refuses or does not answer.

    :ivar services: what runs in the Swarm that it manages.
    """

    def __init__(self, name: str, client: docker.DockerClient) -> None:
        self.name = name
        self._client = client
        self._explained = partial(explained, name)
        self.services = Services(client.api, self._explained)

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
            log_driver=info.get("LoggingDriver", ""),
        )

    def swarm_init(self, address: str, pool: str) -> str:
        """Makes this engine the first manager of a new Swarm.

        :param address: the address at which the other nodes reach it. :param pool: CIDR from which overlay networks
            are allocated.
        :return: the engine's node id.
        """
        with self._explained("starting the Swarm"):
            return str(self._client.api.init_swarm(address, default_addr_pool=[pool], subnet_size=24))

    def swarm_take_over(self, address: str) -> None:
        """Makes this engine the only manager of the Swarm on its disk, at a new address.

        Services, networks, secrets and configs are kept; the other nodes have to join again.
        """
        with self._explained("taking the Swarm over"):
            # Not the SDK's client.swarm: it first reads the settings, which no manager knows while none leads.
            self._client.api.init_swarm(address, force_new_cluster=True)

    def rotate_join_tokens(self) -> None:
        """Invalidates the current tokens."""
        with self._explained("renewing the join tokens"):
            self._update_swarm({}, rotate_worker_token=True, rotate_manager_token=True)

    def swarm_join(self, address: str, manager: str, token: str) -> None:
        """Joins a manager's Swarm.

        :param address: this engine's. :param manager: the manager's address.
        """
        with self._explained(f"joining the Swarm of {manager}"):
            self._client.api.join_swarm([f"{manager}:2377"], token, advertise_addr=address)

    def swarm_unlock(self, key: str) -> None:
        with self._explained("unlocking its Swarm"):
            self._client.api.unlock_swarm(key)

    def swarm_leave(self) -> None:
        with self._explained("leaving its Swarm"):
            self._client.api.leave_swarm(force=True)

    def join_tokens(self) -> JoinTokens:
        with self._explained("reading the join tokens"):
            tokens = self._client.api.inspect_swarm()["JoinTokens"]
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

    def set_availability(self, node_id: str, availability: str) -> None:
        """:param availability: active, pause or drain."""
        with self._explained("setting a node's availability"):
            node = self._client.nodes.get(node_id)
            node.update({**node.attrs["Spec"], "Availability": availability})

    def set_autolock(self, *, locked: bool) -> None:
        """Whether managers that restart need a key."""
        with self._explained("setting whether managers are locked when they restart"):
            self._update_swarm({"EncryptionConfig": {"AutoLockManagers": locked}})

    def unlock_key(self) -> str:
        """The key that managers need when they restart; empty: none."""
        with self._explained("reading the key of the Swarm"):
            return str(self._client.api.get_unlock_key()["UnlockKey"])

    def heartbeat(self) -> float:
        """Seconds between two signs of life that a node gives its managers."""
        with self._explained("reading the Swarm's settings"):
            period = self._client.api.inspect_swarm()["Spec"]["Dispatcher"].get("HeartbeatPeriod", DEFAULT_HEARTBEAT)
            return float(period) / 1e9

    def _update_swarm(self, changed: Mapping[str, object], **rotations: bool) -> None:
        """Changes some of the Swarm's settings. The SDK's own method sets all others to zero.

        :param rotations: of ``docker.APIClient.update_swarm``.
        """
        attrs = self._client.api.inspect_swarm()
        spec = {**attrs["Spec"], **changed}
        self._client.api.update_swarm(attrs["Version"]["Index"], spec, **rotations)

    def remove_node(self, node_id: str) -> None:
        with self._explained("removing the entry of a former node"):
            self._client.api.remove_node(node_id, force=True)

    def images(self) -> list[EngineImage]:
        with self._explained("listing the images"):
            listed = self._client.api.images()
        return [EngineImage(each["Id"], tuple(each["RepoTags"] or ()), each["Size"]) for each in listed]

    def pull_complaint(self, name: str) -> str:
        """Why the engine cannot get an image from its registry; empty if it can. :param name: with its tag."""
        try:
            with self._explained("asking the registry"):
                # Without this host's credentials, which the nodes do not have.
                self._client.api.inspect_distribution(name, auth_config={})  # type: ignore[no-untyped-call]
        except ClusterError as error:
            return error.details
        return ""

    def volumes(self) -> dict[str, str]:
        """The stacks of the volumes on this machine, by the volumes' names; empty: none."""
        with self._explained("listing the volumes"):
            listed = self._client.api.volumes()["Volumes"] or []
        return {each["Name"]: (each["Labels"] or {}).get(STACK, "") for each in listed}

    def health_output(self, container: str) -> str:
        """What an unhealthy container's last health check printed; empty if it is healthy, or gone."""
        try:
            with self._explained("inspecting a container"):
                state = self._client.api.inspect_container(container)["State"]
        except ClusterError:
            return ""
        health = state.get("Health") or {}
        log = health.get("Log") or []
        if health.get("Status") != "unhealthy" or not log:
            return ""
        return str(log[-1]["Output"]).strip() or f"exit code {log[-1]['ExitCode']}"

    def image_id(self, name: str) -> str:
        """The id of an image that the engine has."""
        with self._explained(f"inspecting the image {name}"):
            return str(self._client.images.get(name).id)

    def has_health_check(self, name: str) -> bool | None:
        """Whether an image defines one; None: the engine does not have the image."""
        try:
            with self._explained(f"inspecting the image {name}"):
                config = self._client.images.get(name).attrs.get("Config") or {}
        except ClusterError:
            return None
        test = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
        return bool(test[0] != "NONE")

    def save_image(self, name: str) -> Iterator[bytes]:
        """A file with the image, as ``docker save`` writes it, piece by piece. :param name: with its tag."""
        with self._explained(f"saving the image {name}"):
            yield from self._client.api.get_image(name)

    def push_image(self, name: str) -> Iterator[tuple[int, int]]:
        """Pushes an image to the registry in its name. :param name: with its tag.

        :return: again and again how many bytes have been sent, of how many that are known to be missing there.
        """
        repository, _, tag = name.rpartition(":")
        layers: dict[str, tuple[int, int]] = {}
        with self._explained(f"pushing the image {name}"):
            # Without this host's credentials, as in pull_complaint.
            for said in self._client.api.push(repository, tag, stream=True, decode=True, auth_config={}):
                if error := said.get("error"):
                    raise ClusterError(f"{self.name}: pushing the image {name} failed", str(error))
                detail = said.get("progressDetail") or {}
                if said.get("status") == "Pushing" and detail.get("total"):
                    layers[said["id"]] = (min(detail["current"], detail["total"]), detail["total"])
                    yield sum(sent for sent, _ in layers.values()), sum(total for _, total in layers.values())

    def load_images(self, archive: Iterable[bytes]) -> None:
        """:param archive: a file as ``docker save`` writes it, piece by piece."""
        with self._explained("loading the image"):
            self._client.images.load(archive)  # type: ignore[arg-type]  # requests sends any iterable

    def name_image(self, image_id: str, name: str) -> None:
        """Gives an image a further name. :param name: with its tag."""
        repository, _, tag = name.rpartition(":")
        with self._explained(f"naming the image {name}"):
            self._client.api.tag(image_id, repository, tag)


def _node(attrs: Mapping[str, Any]) -> SwarmNode:
    platform = attrs["Description"].get("Platform") or {}
    resources = attrs["Description"].get("Resources") or {}
    return SwarmNode(
        id=attrs["ID"],
        hostname=attrs["Description"].get("Hostname", ""),
        role=attrs["Spec"]["Role"],
        availability=attrs["Spec"]["Availability"],
        state=attrs["Status"]["State"],
        leader=bool((attrs.get("ManagerStatus") or {}).get("Leader")),
        labels=attrs["Spec"].get("Labels") or {},
        engine_labels=(attrs["Description"].get("Engine") or {}).get("Labels") or {},
        platform=(platform.get("OS", ""), platform.get("Architecture", "")),
        nano_cpus=resources.get("NanoCPUs", 0),
        memory=resources.get("MemoryBytes", 0),
    )
