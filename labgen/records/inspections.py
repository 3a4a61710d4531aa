"""What ran in a lab when something was tried there, as ``docker inspect`` shows it, and nothing secret.

The values of environment variables, the contents of secrets and configs, commands and their arguments, and the values
of log options that are not known to be harmless (one is a driver's token) are never part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Where a container's health check is defined; "": nowhere; "unknown": the image could not be asked.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Logging:
    """How containers' output is kept. :param driver: empty: the node's default.

    :param options: values only of those about sizes; of others, ``...``. :param known: whether options could be read.
    """

    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    known: bool = True


@dataclass(frozen=True)
class InspectedNode:
    """:param state: as the managers see it. The fields about its engine are empty if it could not be asked."""

    name: str
    role: str
    state: str
    availability: str
    leader: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: str = ""
    kernel: str = ""
    storage_driver: str = ""
    backing_filesystem: str = ""
    logging: Logging = Logging()


@dataclass(frozen=True)
class InspectedPort:
    """A published port. :param mode: ``ingress``, on all nodes, or ``host``, on those where a task runs."""

    published: int
    target: int
    protocol: str
    mode: str


@dataclass(frozen=True)
class InspectedNetwork:
    name: str
    driver: str
    subnet: str = ""
    encrypted: bool = False


@dataclass(frozen=True)
class Amounts:
    """Resources of one task. :param cpus: of one processor; 0: not set. :param memory: in bytes; 0: not set."""

    cpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Restarts:
    """Of tasks that ended. :param condition: any, on-failure or none. :param delay: in seconds.

    :param attempts: at most; 0: no limit. :param window: seconds after which a restart counts as successful.
    """

    condition: str = "any"
    delay: float = 5.0
    attempts: int = 0
    window: float = 0.0


@dataclass(frozen=True)
class Rollout:
    """How tasks are replaced by an update or a rollback. :param parallelism: 0: all at once.

    :param delay: seconds between two. :param monitor: seconds in which a failure counts as the update's.
    """

    parallelism: int
    delay: float
    order: str
    on_failure: str
    monitor: float
    failure_ratio: float


@dataclass(frozen=True)
class InspectedService:
    """:param image: without its digest. :param digest: empty: it is not pinned by one.

    :param replicas: 0 for a global service. :param health_check: ``service``, ``image``, ``disabled``, ``unknown``,
        or empty: there is none.
    :param environment: the variables' names. :param update: None: Docker's defaults.
    """

    name: str
    stack: str
    image: str
    digest: str
    mode: str
    replicas: int
    ports: tuple[InspectedPort, ...] = ()
    networks: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    limits: Amounts = Amounts()
    reservations: Amounts = Amounts()
    health_check: str = ""
    environment: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    restarts: Restarts | None = None
    update: Rollout | None = None
    rollback: Rollout | None = None
    logging: Logging = Logging()


@dataclass(frozen=True)
class Inspection:
    """:param box: the name and version of the box that all nodes started from.

    :param at: seconds since the beginning of what was tried.
    """

    box: str
    at: float
    nodes: tuple[InspectedNode, ...] = ()
    services: tuple[InspectedService, ...] = ()
    networks: tuple[InspectedNetwork, ...] = ()
