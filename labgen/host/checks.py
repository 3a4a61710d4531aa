"""doctor's checks, one function per finding. Each tries the real operation wherever possible."""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labgen import boxes, paths
from labgen.errors import LabgenError
from labgen.host import accelerator, remedies
from labgen.host.base import Host
from labgen.hypervisor import Hypervisor
from labgen.profile import Profile
from labgen.progress import Progress
from labgen.surroundings import environment

Status = Literal["ok", "warn", "fail"]

GIB = 1 << 30
SLOW = 5.0  # seconds; a healthy libvirt describes its host in 0.1 s, or in 2 s after its start
# Memory that QEMU needs in addition to the guest's; with TCG also for the translated code.
OVERHEAD_MIB = {"kvm": 80, "tcg": 250}
NODE_GIB = 2  # how much a node actually writes: Docker's first images and logs; its disks are thin

# Programs that labgen calls, and their Debian packages.
PROGRAMS = {
    "vagrant": "vagrant",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh-keygen": "openssh-client",
    "bsdtar": "libarchive-tools",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
}


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    :param evidence: a clause without a full stop.
    :param fix: a command, or a sentence if no command can help; empty if all is well.
    """

    name: str
    status: Status
    evidence: str
    fix: str = ""


def kvm(host: Host, progress: Progress) -> Finding:
    """Whether machines run on the processor itself. They also run without it."""
    verdict = host.accelerator(progress)
    if verdict.kind == "kvm":
        return Finding("kvm", "ok", verdict.reason)
    evidence = f"{verdict.reason}; QEMU's software emulation is used, which is much slower"
    if host.has(accelerator.KVM):
        # libvirt sees the device and probes QEMU again on every call, without success: defining a machine takes most
        # of a minute.
        return Finding(
            "kvm", "warn", f"{evidence}; the unusable device slows libvirt down", remedies.move_kvm_aside()
        )
    fix = "Enable virtualization in the firmware, or nested virtualization in the hypervisor this host runs on."
    return Finding("kvm", "warn", evidence, fix)


def programs() -> Finding:
    """Whether all programs that labgen calls are installed."""
    path = environment()["PATH"]
    missing = {name: package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)}
    if not missing:
        return Finding("programs", "ok", f"all {len(PROGRAMS)} are installed")
    return Finding(
        "programs", "fail", "missing: " + ", ".join(missing), remedies.install(*sorted(set(missing.values())))
    )


def files() -> Finding:
    """Whether labs, boxes and Vagrant's own records can be written."""
    for place in (paths.data_home(), paths.cache_home(), paths.vagrant_home()):
        directory = _existing(place)
        try:
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            fix = f"Make it writable for you, or choose another place: export LABGEN_HOME=DIRECTORY ({place})"
            return Finding("files", "fail", f"{directory} is not writable: {error.strerror}", fix)
    return Finding("files", "ok", f"{paths.data_home()} and {paths.cache_home()} are writable")


def libvirt(host: Host) -> Finding:
    """Whether libvirt answers, and fast enough."""
    started = time.monotonic()
    try:
        version = _within(SLOW, lambda: _ask_libvirt(host))
    except TimeoutError:
        return Finding("libvirt", "fail", f"no answer within {SLOW:.0f} s", remedies.restart_libvirt())
    except LabgenError as error:
        evidence = error.details or error.brief
        return Finding("libvirt", "fail", evidence, remedies.reach_libvirt(evidence))
    return Finding("libvirt", "ok", f"{version} answers after {time.monotonic() - started:.1f} s")


def pool(host: Host, hypervisor: Hypervisor) -> Finding:
    """Whether disks can be created."""
    try:
        hypervisor.pool.probe_write()
        free = _pool_free(host, hypervisor)
    except LabgenError as error:
        fix = f"virsh -c {host.libvirt.uri} pool-list --all"
        return Finding("storage pool", "fail", error.details or error.brief, fix)
    return Finding("storage pool", "ok", f"a volume was created and removed; {_gib(free)} free")


def memory(host: Host, profile: Profile) -> Finding:
    """Whether the machines fit into the available memory."""
    nodes = profile.node_specs()
    each = OVERHEAD_MIB[host.accelerator().kind]
    needed = sum(node.memory_mib for node in nodes) + each * len(nodes)
    available = host.available_memory()
    evidence = f"{profile.name} needs {needed / 1024:.1f} GiB, {available / 1024:.1f} GiB are available"
    if needed <= available:
        return Finding("memory", "ok", evidence)
    return Finding("memory", "fail", evidence, "Stop other labs (labgen stop), or: --set resources.memory=512MiB")


def disk(host: Host, hypervisor: Hypervisor, profile: Profile) -> Finding:
    """Whether the machines' disks fit: their first writes must fit, their full size should."""
    nodes = profile.node_specs()
    try:
        free = _pool_free(host, hypervisor)
    except LabgenError as error:
        fix = f"virsh -c {host.libvirt.uri} pool-info {host.libvirt.pool}"
        return Finding("disk", "fail", error.details or error.brief, fix)
    needed = len(nodes) * NODE_GIB * GIB
    full = sum(node.disk_gib + node.storage_gib for node in nodes) * GIB
    evidence = f"{profile.name} needs {_gib(needed)} at first and may grow to {_gib(full)}; {_gib(free)} free"
    fix = "Remove what you do not need: labgen prune, labgen box list"
    if free < needed:
        return Finding("disk", "fail", evidence, fix)
    return Finding("disk", "ok" if free >= full else "warn", evidence, "" if free >= full else fix)


def box(name: str) -> Finding:
    """Whether a box is built; otherwise ``create`` builds it, for which there must be enough space."""
    subject = f"box {name}"
    try:
        found = boxes.find(name)
    except LabgenError as error:
        return Finding(subject, "fail", error.brief, "labgen box list")
    if found:
        return Finding(subject, "ok", f"{found.version} is built")
    if packages := boxes.missing_packages():
        evidence = "not built yet, and programs to build it are missing: " + ", ".join(packages)
        return Finding(subject, "fail", evidence, remedies.install(*packages))
    free = shutil.disk_usage(_existing(paths.boxes())).free
    evidence = f"not built yet, which takes minutes and needs the internet; {_gib(free)} free in {paths.boxes()}"
    return Finding(
        subject, "warn" if free > boxes.SCRATCH_GIB * GIB else "fail", evidence, f"labgen box build {name}"
    )


def _pool_free(host: Host, hypervisor: Hypervisor) -> int:
    """Free bytes in the pool. libvirt also counts the blocks reserved for root, which QEMU's own user cannot use."""
    free = hypervisor.pool.free_bytes()
    with contextlib.suppress(OSError):
        free = min(free, host.free_in_pool())
    return free


def _ask_libvirt(host: Host) -> str:
    with host.connect(SLOW) as hypervisor:
        hypervisor.capabilities()
        return f"libvirt {hypervisor.version()}"


def _within(limit: float, ask: Callable[[], str]) -> str:
    """Calls ``ask`` with a time limit, because libvirt's calls have none.

    :param limit: seconds. :return: the answer.
    :raises TimeoutError: there was no answer in time. :raises LabgenError: raised by ``ask``.
    """
    answers: list[str | LabgenError] = []

    def run() -> None:
        try:
            answers.append(ask())
        except LabgenError as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    if not answers:
        raise TimeoutError
    if isinstance(answers[0], LabgenError):
        raise answers[0]
    return answers[0]


def _existing(path: Path) -> Path:
    """The nearest parent directory that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
