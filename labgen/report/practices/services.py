"""Practices about each service's own settings."""

import re

from labgen.records.inspections import UNKNOWN, Amounts, InspectedService
from labgen.report.practices.base import OfServices
from labgen.report.text import counted

# Parts of the names of variables whose values are usually secret; NAME_FILE names a file, which is the cure.
CREDENTIAL = re.compile(
    r"(?:^|_)(?:PASS|PASSWD|PASSWORD|PASSPHRASE|SECRET|TOKEN|APIKEY|(?:API|ACCESS|PRIVATE|SECRET|ENCRYPTION)_KEY"
    r"|CREDENTIALS?)(?:_|$)(?!FILE$)|PASSWORD(?!_FILE$)",
    re.IGNORECASE,
)
LATEST = "latest"


class PinnedImages(OfServices):
    """https://docs.docker.com/build/building/best-practices/#pin-base-image-versions"""

    title = "Images are pinned"
    why = (
        "A tag can be moved: without a digest, two nodes may run different images under one name, "
        "and going back may not bring the old one back."
    )
    source = "https://docs.docker.com/build/building/best-practices/#pin-base-image-versions"

    def applies(self, service: InspectedService) -> bool:
        return True

    def complaint(self, service: InspectedService) -> str:
        if service.digest:
            return ""
        tag = service.image.rpartition("/")[2].partition(":")[2]
        if not tag or tag == LATEST:
            return f"{service.image} has {f'the tag {tag}' if tag else 'no tag'}, which is whatever was pushed last"
        # An image that is only on the nodes has no digest to pin it by, and nothing that could be pulled over it.
        return "" if service.image.startswith("localhost/") else f"{service.image} has a tag, but no digest"

    def praise(self, service: InspectedService) -> str:
        if service.digest:
            return f"{service.image}@{service.digest}"
        return f"{service.image} is on the nodes only, and no registry can replace it"


class Limits(OfServices):
    """https://docs.docker.com/engine/containers/resource_constraints/"""

    title = "Tasks have limits"
    why = "One task without a memory limit can take all of a node's memory, and the kernel then ends others, too."
    source = "https://docs.docker.com/engine/containers/resource_constraints/"

    def applies(self, service: InspectedService) -> bool:
        return True

    def complaint(self, service: InspectedService) -> str:
        return "" if service.limits.memory else "no limit for its memory"

    def praise(self, service: InspectedService) -> str:
        reserved = f", reserved {amounts(service.reservations)}" if service.reservations != Amounts() else ""
        return f"at most {amounts(service.limits)}{reserved}"


class HealthChecks(OfServices):
    """https://docs.docker.com/reference/dockerfile/#healthcheck"""

    title = "Services have health checks"
    why = (
        "Without one, a container that hangs counts as running: it gets requests, is not replaced, "
        "and a broken update is not noticed."
    )
    source = "https://docs.docker.com/reference/dockerfile/#healthcheck"

    def applies(self, service: InspectedService) -> bool:
        return not service.mode.endswith("-job") and service.health_check != UNKNOWN

    def complaint(self, service: InspectedService) -> str:
        missing = {"": "neither the service nor its image has one", "disabled": "the image's is switched off"}
        return missing.get(service.health_check, "")

    def praise(self, service: InspectedService) -> str:
        return f"defined by the {service.health_check}"


class NoSecretsInEnvironment(OfServices):
    """https://docs.docker.com/engine/swarm/secrets/"""

    title = "No secrets in the environment"
    why = "Everyone who may run docker inspect reads a variable, and programs log them; a secret is a file in memory."
    source = "https://docs.docker.com/engine/swarm/secrets/"

    def applies(self, service: InspectedService) -> bool:
        return bool(service.environment or service.secrets)

    def complaint(self, service: InspectedService) -> str:
        names = [name for name in service.environment if CREDENTIAL.search(name)]
        return f"by their names, credentials: {', '.join(names)}" if names else ""

    def praise(self, service: InspectedService) -> str:
        variables = counted(len(service.environment), "variable")
        secrets = f"; secrets: {', '.join(service.secrets)}" if service.secrets else ""
        return f"{variables}, none of which is named like a credential{secrets}"


class RestartPolicies(OfServices):
    """https://docs.docker.com/reference/compose-file/deploy/#restart_policy"""

    title = "Tasks that end are replaced"
    why = "With the condition none, a task that fails, or whose node is lost, is never started again."
    source = "https://docs.docker.com/reference/compose-file/deploy/#restart_policy"

    def applies(self, service: InspectedService) -> bool:
        return not service.mode.endswith("-job")

    def complaint(self, service: InspectedService) -> str:
        if service.restarts and service.restarts.condition == "none":
            return "restart condition none"
        if service.restarts and service.restarts.attempts and not service.restarts.window:
            return f"given up for good after {counted(service.restarts.attempts, 'attempt')}: no window is set"
        return ""

    def praise(self, service: InspectedService) -> str:
        if service.restarts is None:
            return "Docker's default: any, after 5 s"
        return f"{service.restarts.condition}, after {service.restarts.delay:g} s"


class Updates(OfServices):
    """https://docs.docker.com/reference/compose-file/deploy/#update_config"""

    title = "Updates go step by step, and back if they fail"
    why = "Docker's default stops in the middle of a failed update; with all tasks at once, nobody answers meanwhile."
    source = "https://docs.docker.com/reference/compose-file/deploy/#update_config"

    def applies(self, service: InspectedService) -> bool:
        return service.mode in {"replicated", "global"}

    def complaint(self, service: InspectedService) -> str:
        if service.update is None:
            return "no update settings"
        if not service.update.parallelism and service.replicas != 1:
            return "all tasks at once (parallelism 0)"
        if service.update.on_failure != "rollback":
            return f"if an update fails: {service.update.on_failure}, not rollback"
        return ""

    def praise(self, service: InspectedService) -> str:
        assert service.update  # noqa: S101 - it was complained about otherwise
        return f"{service.update.parallelism} at a time, {service.update.order}, on failure rollback"


class Replicas(OfServices):
    """https://docs.docker.com/engine/swarm/how-swarm-mode-works/services/"""

    title = "What users reach has more than one task"
    why = "With one task, the loss of its node is an outage until another task has started."
    source = "https://docs.docker.com/engine/swarm/how-swarm-mode-works/services/"

    def applies(self, service: InspectedService) -> bool:
        return service.mode == "replicated" and any(port.published for port in service.ports)

    def complaint(self, service: InspectedService) -> str:
        return "" if service.replicas > 1 else f"{counted(service.replicas, 'replica')} behind a published port"

    def praise(self, service: InspectedService) -> str:
        return counted(service.replicas, "replica")


def amounts(given: Amounts) -> str:
    """As ``0.5 CPU, 64 MiB``; empty: nothing is set."""
    cpus = f"{given.cpus:g} CPU" if given.cpus else ""
    memory = f"{given.memory / 2**20:.0f} MiB" if given.memory else ""
    return ", ".join(filter(None, (cpus, memory)))
