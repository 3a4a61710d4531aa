"""Best practices, checked on what ran in a lab; in the order in which reports show them."""

from labgen.report.practices.base import Finding, Practice
from labgen.report.practices.cluster import BoundedLogs, OddManagers, SpareManager
from labgen.report.practices.services import (
    HealthChecks,
    Limits,
    NoSecretsInEnvironment,
    PinnedImages,
    Replicas,
    RestartPolicies,
    Updates,
)

PRACTICES: tuple[Practice, ...] = (
    PinnedImages(),
    Limits(),
    HealthChecks(),
    NoSecretsInEnvironment(),
    RestartPolicies(),
    Updates(),
    Replicas(),
    BoundedLogs(),
    OddManagers(),
    SpareManager(),
)

__all__ = ["PRACTICES", "Finding", "Practice"]
