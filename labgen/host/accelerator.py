"""Determines how machines run on this host: on the processor through KVM, or with QEMU's emulation (TCG).

The existence of /dev/kvm proves little: under some virtual machine monitors it opens, answers and even runs a BIOS,
but no stock kernel boots under it. So a kernel is booted, and the verdict is kept until the host is rebooted.
"""

import contextlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labgen import paths
from labgen.errors import LabgenError
from labgen.host.base import Accelerator
from labgen.progress import Progress, Silent
from labgen.records.record import Kind
from labgen.surroundings import environment

BOOT_LIMIT = 20  # seconds; under working KVM, a kernel prints its version within one
GREETING = b"Linux version"
KVM = Path("/dev/kvm")

_KVM_ASIDE = Path("/dev/kvm.unusable")  # where scripts/host/daemons moves it
_CPUINFO = Path("/proc/cpuinfo")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HOST_KERNELS = Path("/boot")


@dataclass(frozen=True)
class _Tried:
    """:param boot: the id of the host's boot, during which the verdict holds."""

    boot: str
    verdict: Accelerator


_TRIED = Kind(_Tried)


def probe(progress: Progress | None = None) -> Accelerator:
    """Which accelerator a machine on this host gets. Boots a kernel if needed, at most once per boot of the host."""
    if (early := _without_trial()) is not None:
        return early
    if (known := _recall()) is not None:
        return known
    kernel = _kernel()
    if kernel is None:
        return Accelerator("kvm", "/dev/kvm exists; not tested: there is no kernel to boot", proven=False)
    (progress or Silent()).step(f"trying KVM with {kernel}", stage="try-kvm")
    verdict = try_boot(kernel)
    _remember(verdict)
    return verdict


def try_boot(kernel: Path, machine: str = "accel=kvm", cpu: str = "host", limit: float = BOOT_LIMIT) -> Accelerator:
    """Boots a kernel without a disk: if KVM works, it prints its version and stops without a root file system.

    :param machine: for QEMU's ``-machine``.
    :param limit: seconds.
    """
    command = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", machine, "-cpu", cpu, "-m", "256", "-serial", "stdio"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"),
    ]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, env=environment(), check=False
        )
        said, complaint = result.stdout, result.stderr
    except subprocess.TimeoutExpired as error:
        said, complaint = error.stdout or b"", b""
    except FileNotFoundError:
        return Accelerator("kvm", "/dev/kvm exists; not tested: QEMU is missing", proven=False)
    if GREETING in said:
        return Accelerator("kvm", "a kernel boots under it")
    lines = complaint.decode(errors="replace").strip().splitlines()
    evidence = lines[-1] if lines else f"the kernel {kernel.name} printed nothing within {limit:.0f} s"
    return Accelerator("tcg", f"/dev/kvm exists, but no guest boots under it: {evidence}")


def _without_trial() -> Accelerator | None:
    """The verdict, if it can be determined without booting anything."""
    if not KVM.exists():
        aside = f"; it was moved to {_KVM_ASIDE}" if _KVM_ASIDE.exists() else ""
        return Accelerator("tcg", f"there is no {KVM}{aside}")
    if not re.search(r"^flags\s*:.*\b(vmx|svm)\b", _CPUINFO.read_text(), re.MULTILINE):
        return Accelerator("tcg", f"{KVM} exists, but the processor has neither vmx nor svm")
    if not os.access(KVM, os.R_OK | os.W_OK):
        # The machines run as QEMU's own user, which may open it. Set-up, as root, has tried it before.
        return Accelerator("kvm", f"{KVM} exists; not tested: only root may open it", proven=False)
    return None


def _kernel() -> Path | None:
    """A kernel to boot: a box's, otherwise the host's own."""
    candidates = [*paths.boxes().glob("*/*/vmlinuz"), *_HOST_KERNELS.glob("vmlinuz-*")]
    return next((path for path in candidates if os.access(path, os.R_OK)), None)


def _memory() -> Path:
    return paths.accelerator()


def _recall() -> Accelerator | None:
    """The verdict of an earlier probe since the host was booted."""
    try:
        tried = _TRIED.load(_memory())
        return tried.verdict if tried.boot == _boot_id() else None
    except (OSError, ValueError, LabgenError):
        return None


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _remember(verdict: Accelerator) -> None:
    if not verdict.proven:
        return
    with contextlib.suppress(OSError):  # a cache that cannot be written costs only a second
        _TRIED.save(_memory(), _Tried(_boot_id(), verdict))
