"""Is this host ready? A short check before every ``create``, and a full one by ``labgen doctor``."""

from collections.abc import Iterator

from labgen.errors import HostError
from labgen.host import LOCAL, Host, checks
from labgen.host.checks import Finding
from labgen.machines import trial
from labgen.profile import Profile
from labgen.progress import Progress, Silent


def examine(profile: Profile | None = None, progress: Progress | None = None) -> list[Finding]:
    """All checks; takes some seconds.

    :param profile: also check whether this profile's machines would fit.
    """
    return list(_examine(profile, LOCAL, progress or Silent()))


def quick(profile: Profile, host: Host) -> list[Finding]:
    """Finds in less than a second what would otherwise stop ``create`` after minutes."""
    return [checks.programs(), checks.memory(host, profile), *_libvirt(profile, host)]


def require_ready(profile: Profile, host: Host) -> None:
    """:raises HostError: a quick check failed; the error lists all failed checks, and how to fix them."""
    require(quick(profile, host))


def require(findings: list[Finding]) -> None:
    """:raises HostError: a finding is a failure."""
    failed = [finding for finding in findings if finding.status == "fail"]
    if not failed:
        return
    raise HostError(
        "this host is not ready",
        "\n".join(f"{finding.name}: {finding.evidence}\n    {finding.fix}" for finding in failed),
        "Then check again: labgen doctor",
    )


def _libvirt(profile: Profile, host: Host) -> Iterator[Finding]:
    answer = checks.libvirt(host)
    yield answer
    if answer.status == "ok":
        with host.connect() as hypervisor:
            yield checks.disk(host, hypervisor, profile)


def _examine(profile: Profile | None, host: Host, progress: Progress) -> Iterator[Finding]:
    yield checks.kvm(host, progress)
    yield checks.programs()
    files = checks.files()
    yield files
    if files.status == "ok":
        progress.step("asking Vagrant", stage="ask-vagrant")
        yield trial.vagrant(host)
    progress.step("asking libvirt", stage="ask-libvirt")
    answer = checks.libvirt(host)
    yield answer
    if answer.status == "ok":
        with host.connect() as hypervisor:
            pool = checks.pool(host, hypervisor)
            yield pool
            if "fail" not in {files.status, pool.status}:
                yield from trial.findings(host, hypervisor, progress)
            if profile:
                yield checks.disk(host, hypervisor, profile)
    if profile:
        yield checks.memory(host, profile)
    yield checks.box((profile or trial.profile()).box)
