"""The verdict on KVM, with a host and a QEMU made of files."""

import json
import subprocess
from pathlib import Path

import pytest

from labgen.host import accelerator
from labgen.host.base import Accelerator
from labgen.progress import Silent

GOOD = "echo '[    0.000000] Linux version 6.12'"


class Host:
    """A fake host in a directory."""

    def __init__(self, root: Path) -> None:
        self.kvm = root / "kvm"
        self.cpuinfo = root / "cpuinfo"
        self.boot_id = root / "boot_id"
        self.boot = root / "boot"
        self.bin = root / "bin"
        self.runs = root / "runs"
        self.kvm.touch()
        self.cpuinfo.write_text("flags\t\t: fpu vmx sse2\n")
        self.boot_id.write_text("first\n")
        self.bin.mkdir()
        self.boot.mkdir()
        (self.boot / "vmlinuz-6.12").touch()

    def qemu(self, does: str) -> None:
        program = self.bin / "qemu-system-x86_64"
        program.write_text(f'#!/bin/sh\necho "$@" >>{self.runs}\n{does}\n')
        program.chmod(0o755)

    def booted(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(accelerator, "KVM", host.kvm)
    monkeypatch.setattr(accelerator, "_KVM_ASIDE", tmp_path / "kvm.unusable")
    monkeypatch.setattr(accelerator, "_CPUINFO", host.cpuinfo)
    monkeypatch.setattr(accelerator, "_BOOT_ID", host.boot_id)
    monkeypatch.setattr(accelerator, "_HOST_KERNELS", host.boot)
    monkeypatch.setenv("PATH", f"{host.bin}:/usr/bin:/bin")
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "home"))
    host.qemu(GOOD)
    return host


def test_no_device(host: Host) -> None:
    host.kvm.rename(host.kvm.with_name("kvm.unusable"))
    verdict = accelerator.probe(Silent())
    assert verdict.kind == "tcg"
    assert "no " in verdict.reason
    assert "moved to" in verdict.reason


def test_a_device_without_processor_support_is_not_tried(host: Host) -> None:
    host.cpuinfo.write_text("flags\t\t: fpu hypervisor sse2\n")
    verdict = accelerator.probe(Silent())
    assert (verdict.kind, verdict.proven) == ("tcg", True)
    assert host.booted() == 0


def test_a_kernel_boots(host: Host) -> None:
    assert accelerator.probe(Silent()) == Accelerator("kvm", "a kernel boots under it")
    assert "-machine accel=kvm -cpu host" in host.runs.read_text()


def test_a_kernel_that_hangs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.qemu("exec sleep 30")
    verdict = accelerator.try_boot(host.boot / "vmlinuz-6.12", limit=0.2)
    assert verdict.kind == "tcg"
    assert "vmlinuz-6.12 printed nothing" in verdict.reason


def test_a_kernel_that_speaks_and_then_hangs(host: Host) -> None:
    host.qemu(f"{GOOD}; exec sleep 30")
    assert accelerator.try_boot(host.boot / "vmlinuz-6.12", limit=0.5).kind == "kvm"


def test_qemu_refuses(host: Host) -> None:
    host.qemu("echo 'error: failed to set MSR 0x10a' >&2; exit 1")
    assert accelerator.probe(Silent()).reason.endswith("failed to set MSR 0x10a")


def test_the_verdict_is_kept_until_the_next_boot(host: Host) -> None:
    first = accelerator.probe(Silent())
    assert accelerator.probe(Silent()) == first
    assert host.booted() == 1
    host.boot_id.write_text("second\n")
    accelerator.probe(Silent())
    assert host.booted() == 2


def test_a_spoiled_memory_is_ignored(host: Host) -> None:
    accelerator.probe(Silent())
    for content in ("", "[]", "{}", json.dumps({"boot": "first", "kind": "kvm", "other": 1})):
        accelerator._memory().write_text(content)
        assert accelerator.probe(Silent()).kind == "kvm"


def test_a_cache_that_cannot_be_written(host: Host) -> None:
    (host.boot.parent / "home").touch()
    assert accelerator.probe(Silent()).kind == "kvm"


def test_a_box_kernel_is_tried_first(host: Host) -> None:
    kernel = host.boot.parent / "home/cache/boxes/debian13/13.1/vmlinuz"
    kernel.parent.mkdir(parents=True)
    kernel.touch()
    accelerator.probe(Silent())
    assert str(kernel) in host.runs.read_text()


def test_nothing_to_try_with_is_an_assumption(host: Host) -> None:
    (host.boot / "vmlinuz-6.12").unlink()
    verdict = accelerator.probe(Silent())
    assert (verdict.kind, verdict.proven) == ("kvm", False)


def test_qemu_missing_is_an_assumption_and_not_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(host.boot))
    assert not accelerator.probe(Silent()).proven
    monkeypatch.setenv("PATH", f"{host.bin}:/usr/bin:/bin")
    assert accelerator.probe(Silent()).proven


def test_only_root_may_open_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator.os, "access", lambda path, mode: path != host.kvm)
    verdict = accelerator.probe(Silent())
    assert (verdict.kind, verdict.proven) == ("kvm", False)


def test_the_scripts_ask_the_same(home: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "host" / "accelerator"
    said = subprocess.run([script], capture_output=True, text=True, check=True).stdout
    verdict = accelerator.probe(Silent())
    assert said == f"{verdict.kind} {verdict.reason}\n"
