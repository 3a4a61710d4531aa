"""Services, tasks and what they use, as a Swarm's managers report them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from labgen.engine.inspected import STACK, inspected, inspected_network
from labgen.records.inspections import InspectedNetwork, InspectedService

DEFAULT_DELAY = 5_000_000_000  # nanoseconds; https://docs.docker.com/reference/cli/docker/service/create/


@dataclass(frozen=True)
class Port:
    """A published port. :param mode: ``ingress``, on all nodes, or ``host``, on those where a task runs."""

    published: int
    target: int
    protocol: str = "tcp"
    mode: str = "ingress"


@dataclass(frozen=True)
class Resources:
    """:param nano_cpus: processors, in billionths. :param memory: in bytes."""

    nano_cpus: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Service:
    """:param image: without its digest. :param mode: replicated, global, replicated-job or global-job.

    :param restart_delay: seconds that Swarm waits before it replaces a task that ended.
    :param preferences: the labels over whose values tasks are spread, as ``node.labels.zone``.
    :param desired: how many tasks there should be; of a job, how many have to complete; of a global service: 0.
    :param completed: of a job. :param restarts: of tasks that ended: ``any``, ``on-failure`` or ``none``.
    :param max_per_node: 0: no limit. :param update_state: of the last update or rollback; empty: there was none.
    """

    id: str
    name: str
    stack: str
    image: str
    mode: str
    desired: int
    completed: int = 0
    restarts: str = "any"
    restart_delay: float = 5.0
    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    max_per_node: int = 0
    reserved: Resources = Resources()
    ports: tuple[Port, ...] = ()
    update_state: str = ""
    update_message: str = ""

    @property
    def is_job(self) -> bool:
        return self.mode.endswith("-job")

    @property
    def is_global(self) -> bool:
        return self.mode.startswith("global")


@dataclass(frozen=True)
class Task:
    """:param slot: the replica's number; 0 for a global service. :param node_id: empty: not placed yet.

    :param state: e.g. pending, preparing, running, failed. :param desired_state: e.g. running, shutdown.
    :param error: Docker's words, if there was one. :param container: its id; empty: it never had one.
    :param image: as in the service's settings, perhaps with its digest.
    :param created: when Swarm decided that it should run. :param since: when it reached the state, both
        as Docker writes times (RFC 3339, UTC, which can be compared as text).
    """

    id: str
    service_id: str
    slot: int
    node_id: str
    state: str
    desired_state: str
    error: str
    container: str
    since: str
    reserved: Resources = Resources()
    image: str = ""
    created: str = ""
    host_ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stored:
    """A config or secret."""

    name: str
    labels: Mapping[str, str]


class Services:
    """Calls to a manager's engine; see :class:`labgen.engine.Engine`."""

    def __init__(self, api: Any, explained: Callable[[str], AbstractContextManager[None]]) -> None:
        """:param api: docker's APIClient; the methods used here have no types."""
        self._api = api
        self._explained = explained

    def listed(self, stack: str = "") -> list[Service]:
        """:param stack: only its services."""
        filters = {"label": f"{STACK}={stack}"} if stack else None
        with self._explained("listing the services"):
            listed = self._api.services(filters=filters, status=True)
        return sorted((_service(each) for each in listed), key=lambda each: each.name)

    def inspected(self) -> list[InspectedService]:
        """What may be recorded of all services. A health check of the image alone is not seen here."""
        with self._explained("inspecting the services"):
            listed, networks = self._api.services(), self._api.networks()
        names = {each["Id"]: each["Name"] for each in networks}
        return sorted((inspected(each, names) for each in listed), key=lambda each: each.name)

    def inspected_networks(self) -> list[InspectedNetwork]:
        """Those of the Swarm."""
        with self._explained("inspecting the networks"):
            listed = self._api.networks(filters={"scope": "swarm"})
        return sorted(map(inspected_network, listed), key=lambda each: each.name)

    def settings(self, name: str) -> dict[str, Any] | None:
        """A service's settings, as Docker's API has them; None: there is no such service."""
        with self._explained(f"reading the settings of {name}"):
            listed = self._api.services(filters={"name": name})
        return next((dict(each["Spec"]) for each in listed if each["Spec"]["Name"] == name), None)

    def set(self, name: str, settings: Mapping[str, Any]) -> None:
        """Gives a service the settings that :meth:`settings` has read; unless it has them, or is gone."""
        with self._explained(f"setting {name} back"):
            listed = self._api.services(filters={"name": name})
            found = next((each for each in listed if each["Spec"]["Name"] == name), None)
            if found is None or found["Spec"] == settings:
                return
            self._api.update_service(
                found["ID"],
                found["Version"]["Index"],
                task_template=settings["TaskTemplate"],
                name=settings["Name"],
                labels=settings.get("Labels"),
                mode=settings["Mode"],
                update_config=settings.get("UpdateConfig"),
                rollback_config=settings.get("RollbackConfig"),
                endpoint_spec=settings.get("EndpointSpec"),
            )

    def remove(self, name: str) -> None:
        """Removes a service, unless it is gone."""
        if self.settings(name) is not None:
            with self._explained(f"removing the service {name}"):
                self._api.remove_service(name)

    def remove_network(self, name: str) -> None:
        """Removes a network, unless it is gone. :raises ClusterError: a container is still in it."""
        if name in self.networks():
            with self._explained(f"removing the network {name}"):
                self._api.remove_network(name)

    def tasks(self, service: Service | None = None) -> list[Task]:
        """With those that have ended, as far as the Swarm keeps them. :param service: only its tasks."""
        filters = {"service": service.id} if service else None
        with self._explained("listing the tasks"):
            listed = self._api.tasks(filters=filters)
        return [_task(each) for each in listed]

    def networks(self) -> dict[str, str]:
        """The stacks of the networks, by the networks' names; empty: none."""
        with self._explained("listing the networks"):
            listed = self._api.networks()
        return {each["Name"]: (each.get("Labels") or {}).get(STACK, "") for each in listed}

    def configs(self) -> list[Stored]:
        with self._explained("listing the configs"):
            return [_stored(each) for each in self._api.configs()]

    def secrets(self) -> list[Stored]:
        with self._explained("listing the secrets"):
            return [_stored(each) for each in self._api.secrets()]

    def create_secret(self, name: str, content: str) -> None:
        with self._explained(f"creating the secret {name}"):
            self._api.create_secret(name, content)


def _service(attrs: Mapping[str, Any]) -> Service:
    spec, status, update = attrs["Spec"], attrs.get("ServiceStatus") or {}, attrs.get("UpdateStatus") or {}
    template = spec["TaskTemplate"]
    placement, restarts = template.get("Placement") or {}, template.get("RestartPolicy") or {}
    mode, details = next(iter(spec["Mode"].items()))
    return Service(
        id=attrs["ID"],
        name=spec["Name"],
        stack=(spec.get("Labels") or {}).get(STACK, ""),
        image=_without_digest(template["ContainerSpec"]["Image"]),
        mode={"ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}.get(mode, mode.lower()),
        desired=details.get("Replicas", 1) if mode == "Replicated" else details.get("TotalCompletions", 0),
        completed=status.get("CompletedTasks", 0),
        constraints=tuple(placement.get("Constraints") or ()),
        restarts=restarts.get("Condition") or "any",
        restart_delay=restarts.get("Delay", DEFAULT_DELAY) / 1e9,
        preferences=tuple(each["Spread"]["SpreadDescriptor"] for each in placement.get("Preferences") or ()),
        max_per_node=placement.get("MaxReplicas", 0),
        reserved=_reserved(template),
        ports=tuple(_port(each) for each in (attrs.get("Endpoint") or {}).get("Ports") or ()),
        update_state=update.get("State") or "",
        update_message=update.get("Message", ""),
    )


def _task(attrs: Mapping[str, Any]) -> Task:
    status, spec = attrs["Status"], attrs["Spec"]
    container = status.get("ContainerStatus") or {}
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    return Task(
        id=attrs["ID"],
        service_id=attrs["ServiceID"],
        slot=attrs.get("Slot", 0),
        node_id=attrs.get("NodeID", ""),
        state=status["State"],
        desired_state=attrs["DesiredState"],
        error=status.get("Err", ""),
        container=container.get("ContainerID", ""),
        since=status["Timestamp"],
        reserved=_reserved(spec),
        image=(spec.get("ContainerSpec") or {}).get("Image", ""),
        created=attrs.get("CreatedAt", ""),
        host_ports=tuple(each["PublishedPort"] for each in ports if each.get("PublishMode") == "host"),
    )


def _stored(attrs: Mapping[str, Any]) -> Stored:
    spec = attrs["Spec"]
    return Stored(spec["Name"], spec.get("Labels") or {})


def _port(attrs: Mapping[str, Any]) -> Port:
    protocol, mode = attrs.get("Protocol", "tcp"), attrs.get("PublishMode", "ingress")
    return Port(attrs.get("PublishedPort", 0), attrs["TargetPort"], protocol, mode)


def _reserved(template: Mapping[str, Any]) -> Resources:
    wanted = (template.get("Resources") or {}).get("Reservations") or {}
    return Resources(wanted.get("NanoCPUs", 0), wanted.get("MemoryBytes", 0))


def _without_digest(image: str) -> str:
    return image.partition("@")[0]
