"""Is this host ready? Asked before every ``create`` in short, and by ``labgen doctor`` at length."""

from collections.abc import Iterator

from labgen.errors import HostError
from labgen.host import checks
from labgen.host.checks import Finding
from labgen.hypervisor import Hypervisor
from labgen.machines import trial
from labgen.profile import Profile
from labgen.progress import Progress, Silent


def examine(profile: Profile | None = None, progress: Progress | None = None) -> list[Finding]:
    """Everything; takes some seconds.

    :param profile: whether this one's machines would fit, too.
    """
    return list(_examine(profile, progress or Silent()))


def quick(profile: Profile) -> list[Finding]:
    """What would stop ``create`` after minutes, found in less than a second."""
    return [checks.programs(), checks.memory(profile), *_libvirt(profile)]


def require_ready(profile: Profile) -> None:
    """:raises HostError: a quick check failed; it names every one that did, and what to do."""
    require(quick(profile))


def require(findings: list[Finding]) -> None:
    """:raises HostError: a finding is a failure."""
    failed = [finding for finding in findings if finding.status == "fail"]
    if not failed:
        return
    raise HostError(
        "this host is not ready",
        "\n".join(f"{finding.name}: {finding.evidence}\n    {finding.fix}" for finding in failed),
        "Then look again with: labgen doctor",
    )


def _libvirt(profile: Profile) -> Iterator[Finding]:
    answer = checks.libvirt()
    yield answer
    if answer.status == "ok":
        with Hypervisor.connect() as hypervisor:
            yield checks.disk(hypervisor, profile)


def _examine(profile: Profile | None, progress: Progress) -> Iterator[Finding]:
    yield checks.kvm(progress)
    yield checks.programs()
    files = checks.files()
    yield files
    if files.status == "ok":
        progress.step("asking Vagrant", stage="ask-vagrant")
        yield trial.vagrant()
    progress.step("asking libvirt", stage="ask-libvirt")
    answer = checks.libvirt()
    yield answer
    if answer.status == "ok":
        with Hypervisor.connect() as hypervisor:
            pool = checks.pool(hypervisor)
            yield pool
            if "fail" not in {files.status, pool.status}:
                yield from trial.findings(hypervisor, progress)
            if profile:
                yield checks.disk(hypervisor, profile)
    if profile:
        yield checks.memory(profile)
    yield checks.box((profile or trial.profile()).box)
