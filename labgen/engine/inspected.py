"""A service's settings in Docker's API, and the part of them that is recorded: nothing secret. Pure.

Source of the names: https://docs.docker.com/reference/api/engine/version/v1.45/#tag/Service
"""

from collections.abc import Mapping
from typing import Any

from labgen.records.inspections import (
    Amounts,
    InspectedNetwork,
    InspectedPort,
    InspectedService,
    Logging,
    Restarts,
    Rollout,
)

STACK = "com.docker.stack.namespace"  # the label by which "docker stack" knows what belongs to a stack
NANO = 1e9
# Whose values are recorded: a log driver's other options may be tokens, addresses with passwords, ...
ABOUT_SIZE = {"max-size", "max-file", "compress", "mode", "max-buffer-size"}
HIDDEN = "..."


def inspected(attrs: Mapping[str, Any], networks: Mapping[str, str]) -> InspectedService:
    """:param attrs: a service, as the API lists it. :param networks: names, by id."""
    spec = attrs["Spec"]
    template, (mode, details) = spec["TaskTemplate"], next(iter(spec["Mode"].items()))
    container, placement = template.get("ContainerSpec") or {}, template.get("Placement") or {}
    resources = template.get("Resources") or {}
    image, _, digest = container.get("Image", "").partition("@")
    attached = template.get("Networks") or spec.get("Networks") or ()
    return InspectedService(
        name=spec["Name"],
        stack=(spec.get("Labels") or {}).get(STACK, ""),
        image=image,
        digest=digest,
        mode={"ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}.get(mode, mode.lower()),
        replicas=(details or {}).get("Replicas", 1) if mode == "Replicated" else 0,
        ports=tuple(_port(each) for each in (attrs.get("Endpoint") or {}).get("Ports") or ()),
        networks=tuple(networks.get(each["Target"], each["Target"]) for each in attached),
        constraints=tuple(placement.get("Constraints") or ()),
        preferences=tuple(each["Spread"]["SpreadDescriptor"] for each in placement.get("Preferences") or ()),
        limits=_amounts(resources.get("Limits")),
        reservations=_amounts(resources.get("Reservations")),
        health_check=_health_check(container.get("Healthcheck")),
        environment=tuple(sorted({each.partition("=")[0] for each in container.get("Env") or ()})),
        secrets=tuple(each["SecretName"] for each in container.get("Secrets") or ()),
        configs=tuple(each["ConfigName"] for each in container.get("Configs") or ()),
        restarts=_restarts(template.get("RestartPolicy")),
        update=_rollout(spec.get("UpdateConfig")),
        rollback=_rollout(spec.get("RollbackConfig")),
        logging=_logging(template.get("LogDriver")),
    )


def inspected_network(attrs: Mapping[str, Any]) -> InspectedNetwork:
    ranges = (attrs.get("IPAM") or {}).get("Config") or [{}]
    encrypted = "encrypted" in (attrs.get("Options") or {})
    return InspectedNetwork(attrs["Name"], attrs.get("Driver", ""), ranges[0].get("Subnet", ""), encrypted)


def harmless(options: Mapping[str, Any] | None) -> dict[str, str]:
    """A log driver's options, without values that may be secret."""
    return {name: str(value) if name in ABOUT_SIZE else HIDDEN for name, value in sorted((options or {}).items())}


def _port(attrs: Mapping[str, Any]) -> InspectedPort:
    mode, protocol = attrs.get("PublishMode", "ingress"), attrs.get("Protocol", "tcp")
    return InspectedPort(attrs.get("PublishedPort", 0), attrs["TargetPort"], protocol, mode)


def _amounts(attrs: Mapping[str, Any] | None) -> Amounts:
    found = attrs or {}
    return Amounts(found.get("NanoCPUs", 0) / NANO, found.get("MemoryBytes", 0))


def _health_check(attrs: Mapping[str, Any] | None) -> str:
    """Of the service itself: one without a test has the image's."""
    test = (attrs or {}).get("Test") or []
    return "" if not test else "disabled" if test[0] == "NONE" else "service"


def _restarts(attrs: Mapping[str, Any] | None) -> Restarts | None:
    if not attrs:
        return None
    seconds = {name: attrs.get(name, default) / NANO for name, default in (("Delay", 5 * NANO), ("Window", 0))}
    return Restarts(
        attrs.get("Condition") or "any", seconds["Delay"], attrs.get("MaxAttempts") or 0, seconds["Window"]
    )


def _rollout(attrs: Mapping[str, Any] | None) -> Rollout | None:
    if not attrs:
        return None
    return Rollout(
        parallelism=attrs.get("Parallelism", 0),
        delay=attrs.get("Delay", 0) / NANO,
        order=attrs.get("Order") or "stop-first",
        on_failure=attrs.get("FailureAction") or "pause",
        monitor=attrs.get("Monitor", 0) / NANO,
        failure_ratio=float(attrs.get("MaxFailureRatio", 0)),
    )


def _logging(attrs: Mapping[str, Any] | None) -> Logging:
    found = attrs or {}
    return Logging(found.get("Name", ""), harmless(found.get("Options")))
