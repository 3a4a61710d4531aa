"""Doctor's findings, with a controllable libvirt."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from labgen import boxes, paths, surroundings, turns, vagrant
from labgen.cli.doctor import doctor
from labgen.errors import HostError, HypervisorError, LabgenError
from labgen.host import LOCAL, accelerator, addresses, checks, local, remedies
from labgen.host.base import Accelerator
from labgen.host.checks import Finding
from labgen.host.local import LocalHost
from labgen.hypervisor import Hypervisor, LibvirtNetwork
from labgen.lab import doctor as doctor_module
from labgen.machines import trial
from labgen.profile import Profile, load
from labgen.profile.naming import lab_name
from labgen.progress import Silent
from labgen.records import data_home

GIB = 1 << 30
SAYS = Path(__file__).parent / "vagrant_says"


class FakeHypervisor:
    """Offers the methods that doctor calls; ``failing`` names those that fail."""

    def __init__(self, free: int = 100 * GIB, failing: tuple[str, ...] = ()) -> None:
        self.free = free
        self.failing = failing
        self.calls: list[str] = []
        self.pool = self
        self.libvirt = LOCAL.libvirt

    def __enter__(self) -> "FakeHypervisor":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sweep(self, prefix: str) -> None:
        Hypervisor.sweep(self, prefix)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        def call(*_arguments: object, **_options: object) -> object:
            self.calls.append(name)
            if name in self.failing:
                raise HypervisorError(f"{name} failed", "the evidence")
            answers = {
                "version": "9.0.0",
                "free_bytes": self.free,
                "networks": [NETWORK, *([trials()] if "define_network" in self.calls else [])],
                "domains": [],
                "volumes": [],
            }
            return answers.get(name)

        return call


NETWORK = LibvirtNetwork("other", "virbr0", True, ("10.77.0.1/24",))


def trials() -> LibvirtNetwork:
    return LibvirtNetwork(f"{data_home.owner()}_{trial.NAME}", "lg0", True, ())


@pytest.fixture
def profile() -> Profile:
    return load("three-node-btrfs").profile


@pytest.fixture
def hypervisor(monkeypatch: pytest.MonkeyPatch) -> FakeHypervisor:
    return connect_to(FakeHypervisor(), monkeypatch)


def connect_to(fake: FakeHypervisor, monkeypatch: pytest.MonkeyPatch) -> FakeHypervisor:
    monkeypatch.setattr(LocalHost, "connect", lambda _self, _limit=0.0: fake)
    return fake


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host on which everything is right except for KVM, which is missing."""
    monkeypatch.setenv("LABGEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(surroundings, "SYSTEM_PROGRAMS", "")
    monkeypatch.setattr(local, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(trial, "_TUN", tmp_path / "meminfo")
    monkeypatch.setattr(trial.ssh, "make_key", lambda path, _comment: path.with_suffix(".pub").write_text("key"))
    monkeypatch.setattr(boxes, "missing_packages", list)
    monkeypatch.setattr(remedies, "_SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(remedies, "_DAEMONS", tmp_path / "daemons")
    monkeypatch.setattr(LocalHost, "libvirt", replace(LOCAL.libvirt, directory=tmp_path / "pool"))
    monkeypatch.setattr(addresses, "of_host", list)
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(accelerator, "_KVM_ASIDE", tmp_path / "kvm.unusable")
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable:   8388608 kB\n")
    for name in checks.PROGRAMS:
        program(tmp_path, name, "echo 'vagrant-libvirt (0.11.2, system)'")
    program(tmp_path, "setpriv", 'shift 2; exec "$@"')
    yield tmp_path


def program(directory: Path, name: str, does: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{does}\n")
    (directory / name).chmod(0o755)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_ready_host(hypervisor: FakeHypervisor, profile: Profile) -> None:
    findings = doctor_module.examine(profile)
    assert {finding.name: finding.status for finding in findings} == {
        "kvm": "warn",
        "programs": "ok",
        "files": "ok",
        "vagrant": "ok",
        "libvirt": "ok",
        "storage pool": "ok",
        "network": "ok",
        "machine": "ok",
        "subnet": "ok",
        "disk": "ok",
        "memory": "ok",
        "box debian13": "warn",
    }
    assert all(finding.fix for finding in findings if finding.status != "ok")
    doctor_module.require(findings)


def test_quick_asks_for_what_create_needs(hypervisor: FakeHypervisor, profile: Profile) -> None:
    assert [finding.name for finding in doctor_module.quick(profile, LOCAL)] == [
        "programs",
        "memory",
        "libvirt",
        "disk",
    ]
    doctor_module.require_ready(profile, LOCAL)
    assert "probe_write" not in hypervisor.calls


def test_every_failure_is_named_at_once(host: Path, hypervisor: FakeHypervisor, profile: Profile) -> None:
    (host / "qemu-img").unlink()
    hypervisor.free = GIB
    with pytest.raises(HostError) as caught:
        doctor_module.require_ready(profile, LOCAL)
    assert caught.value.exit_code == 20
    assert "programs: missing: qemu-img\n" in caught.value.details
    assert "qemu-utils" in caught.value.details
    assert "disk: " in caught.value.details


def test_kvm_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "probe", lambda _=None: Accelerator("kvm", "a kernel boots under it"))
    assert checks.kvm(LOCAL, Silent()) == Finding("kvm", "ok", "a kernel boots under it")


@pytest.mark.parametrize(
    ("does", "evidence"),
    [
        ("echo 'No plugins installed.'", "no vagrant-libvirt"),
        (
            "echo \"/usr/lib/x.rb:7:in 'y': Ruby is broken (LoadError)\" >&2; echo '\tfrom /x.rb:1:in z' >&2; exit 1",
            "Ruby",
        ),
        ("exit 1", "Vagrant fails"),
        (f"/bin/cat '{SAYS / 'libvirt_is_down.log'}'; exit 1", "Failed to connect socket"),
        (
            "[ $1 = validate ] && exit 3; echo 'vagrant-libvirt (0.11.2, system)'",
            "fails: checking the Vagrantfile failed",
        ),
    ],
)
def test_vagrant_that_does_not_do(host: Path, does: str, evidence: str) -> None:
    program(host, "vagrant", does)
    finding = trial.vagrant(LOCAL)
    assert finding.status == "fail"
    assert evidence in finding.evidence


def test_vagrant_missing(host: Path) -> None:
    (host / "vagrant").unlink()
    assert trial.vagrant(LOCAL).evidence == "Vagrant is missing"


def test_vagrant_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("vagrant", 60)

    monkeypatch.setattr(subprocess, "run", run)
    assert "within 60 s" in trial.vagrant(LOCAL).evidence


def test_vagrant_that_hangs_over_the_vagrantfile(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(host, "vagrant", "[ $1 = validate ] && exec /bin/sleep 60; echo 'vagrant-libvirt (0.11.2, system)'")
    validate = vagrant.validate
    monkeypatch.setattr(vagrant, "validate", lambda directory: validate(directory, 0.4))
    finding = trial.vagrant(LOCAL)
    assert finding.status == "fail"
    assert "checking the Vagrantfile: Vagrant does not answer within" in finding.evidence


def refuse(monkeypatch: pytest.MonkeyPatch, evidence: str) -> Finding:
    def connect(_self: LocalHost, _limit: float = 0) -> None:
        raise HostError("libvirt does not answer", evidence)

    monkeypatch.setattr(LocalHost, "connect", connect)
    return checks.libvirt(LOCAL)


def test_libvirt_that_is_not_there(
    host: Path, monkeypatch: pytest.MonkeyPatch, hypervisor: FakeHypervisor, profile: Profile
) -> None:
    finding = refuse(monkeypatch, "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file")
    assert (finding.status, finding.fix) == ("fail", "sudo virtlogd -d; sudo libvirtd -d")
    assert [each.name for each in doctor_module.quick(profile, LOCAL)] == ["programs", "memory", "libvirt"]
    (host / "systemd").mkdir()
    assert refuse(monkeypatch, "No such file").fix == "sudo systemctl enable --now libvirtd"
    (host / "daemons").touch()
    assert refuse(monkeypatch, "No such file").fix.endswith("daemons start")


@pytest.mark.parametrize("evidence", ["Permission denied", "authentication unavailable: no polkit agent"])
def test_libvirt_that_refuses_the_user(monkeypatch: pytest.MonkeyPatch, evidence: str) -> None:
    assert "usermod -aG libvirt" in refuse(monkeypatch, evidence).fix


def test_libvirt_that_hangs(monkeypatch: pytest.MonkeyPatch, host: Path) -> None:
    monkeypatch.setattr(checks, "SLOW", 0.01)
    monkeypatch.setattr(checks, "_ask_libvirt", lambda _: time.sleep(0.2) or "")
    finding = checks.libvirt(LOCAL)
    assert finding.status == "fail"
    assert finding.evidence.startswith("no answer within")
    assert "libvirtd -d" in finding.fix
    (host / "daemons").touch()
    assert checks.libvirt(LOCAL).fix.endswith("daemons start")
    (host / "systemd").mkdir()
    assert checks.libvirt(LOCAL).fix == "sudo systemctl restart libvirtd"


def test_a_useless_device(monkeypatch: pytest.MonkeyPatch, host: Path) -> None:
    (host / "kvm").touch()
    monkeypatch.setattr(accelerator, "probe", lambda _=None: Accelerator("tcg", "no guest boots"))
    finding = checks.kvm(LOCAL, Silent())
    assert (finding.status, finding.evidence.split(";")[0]) == ("warn", "no guest boots")
    assert "mv /dev/kvm /dev/kvm.unusable" in finding.fix
    (host / "daemons").touch()
    assert checks.kvm(LOCAL, Silent()).fix.endswith("daemons start")


@pytest.mark.parametrize(
    ("failing", "name"),
    [
        ("probe_write", "storage pool"),
        ("free_bytes", "storage pool"),
        ("free_bytes", "disk"),
        ("define_network", "network"),
        ("ensure_network", "network"),
        ("remove_network", "network"),
        ("networks", "subnet"),
        ("create", "machine"),
        ("define", "machine"),
        ("start", "machine"),
    ],
)
def test_what_libvirt_refuses(monkeypatch: pytest.MonkeyPatch, failing: str, name: str) -> None:
    connect_to(FakeHypervisor(failing=(failing,)), monkeypatch)
    finding = by_name(doctor_module.examine(load("single-node").profile))[name]
    assert finding.status == "fail"
    assert "the evidence" in finding.evidence
    assert finding.fix or name == "subnet"


def test_a_host_without_a_lab_gets_no_id_for_a_look_at_the_vagrantfile(host: Path) -> None:
    assert trial.vagrant(LOCAL).status == "ok"
    assert not paths.identity().exists()


def damaged_id(host: Path) -> None:
    paths.identity().parent.mkdir(parents=True)
    paths.identity().write_text("{")


def copied_home(host: Path) -> None:
    data_home.owner()
    (host / "elsewhere").mkdir()
    (host / "elsewhere" / "identity.json").write_text(
        paths.identity().read_text().replace(str(paths.data_home()), str(host / "elsewhere"))
    )
    shutil.copy(host / "elsewhere" / "identity.json", paths.identity())


def no_place_for_locks(host: Path) -> None:
    paths.locks().parent.mkdir(parents=True)
    paths.locks().write_text("a file is in its place")


@pytest.mark.parametrize(
    ("make", "evidence"),
    [
        (damaged_id, "the id of this data home is damaged: "),
        (copied_home, "is a copy, or has been moved: "),
        (no_place_for_locks, "is not a directory"),
    ],
)
def test_a_home_that_nothing_can_be_made_from_is_a_finding_among_others(
    host: Path, hypervisor: FakeHypervisor, make: Callable[[Path], None], evidence: str
) -> None:
    make(host)
    findings = by_name(doctor_module.examine())
    assert findings["machine"].status == "fail"
    assert evidence in findings["machine"].evidence
    assert findings["machine"].fix
    assert findings["vagrant"].status == "ok"
    assert "box debian13" in findings
    assert "define" not in hypervisor.calls


def test_another_doctor_at_work_is_a_finding(hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TURN_LIMIT", 0.1)
    with turns.lock(paths.lab_lock(trial.NAME)):
        finding = by_name(doctor_module.examine())["machine"]
    assert "another 'labgen doctor' is running" in finding.evidence
    assert "Wait for it" in finding.fix


def test_a_store_of_vagrants_that_is_no_directory(host: Path, hypervisor: FakeHypervisor) -> None:
    (paths.vagrant_home() / "data").parent.mkdir(parents=True)
    (paths.vagrant_home() / "data").write_text("")
    finding = by_name(doctor_module.examine())["vagrant"]
    assert (finding.status, "is not a directory" in finding.evidence) == ("fail", True)


def test_a_network_that_failed_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = connect_to(FakeHypervisor(failing=("ensure_network",)), monkeypatch)
    doctor_module.examine()
    assert "remove_network" in fake.calls


def test_a_machine_that_failed_leaves_nothing(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = connect_to(FakeHypervisor(failing=("start",)), monkeypatch)
    doctor_module.examine()
    assert fake.calls[-4:] == ["domains", "volumes", "networks", "remove_network"]
    assert list((host / "home" / "data").glob(".doctor-*")) == []


def test_what_a_doctor_that_was_killed_has_left_is_gone(host: Path, hypervisor: FakeHypervisor) -> None:
    (paths.trial("k1ll3d") / paths.LOGS).mkdir(parents=True)
    (paths.trial("k1ll3d") / paths.KEY).write_text("secret")
    assert by_name(doctor_module.examine())["machine"].status == "ok"
    assert list(paths.data_home().glob(".doctor*")) == []


def test_what_another_doctor_has_at_work_stays(hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TURN_LIMIT", 0.1)
    paths.trial("theirs").mkdir(parents=True)
    with turns.lock(paths.lab_lock(trial.NAME)):
        doctor_module.examine()
    assert paths.trial("theirs").is_dir()


def test_a_create_waits_for_no_network_and_chooses_another_subnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt has the chosen subnet before the registry is unlocked; starting the network may take long."""
    held: dict[str, bool] = {}

    class Watched(FakeHypervisor):
        def define_network(self, _name: str, _xml: str) -> None:
            self.calls.append("define_network")
            held["define"] = turns.is_held(paths.registry_lock())

        def ensure_network(self, _name: str, _xml: str) -> None:
            held["start"] = turns.is_held(paths.registry_lock())

    connect_to(Watched(), monkeypatch)
    assert by_name(doctor_module.examine())["network"].status == "ok"
    assert held == {"define": True, "start": False}


def test_no_lab_can_have_the_name_of_doctors_own() -> None:
    with pytest.raises(LabgenError):
        lab_name(trial.NAME)


def test_without_a_network_no_machine_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = connect_to(FakeHypervisor(failing=("ensure_network",)), monkeypatch)
    assert "machine" not in by_name(doctor_module.examine())
    assert "define" not in fake.calls


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [
        (
            "Cannot access storage file '/var/a.img' (as uid:64055, gid:64055): Permission denied",
            "namei -l /var/a.img",
        ),
        ("cannot set up guest memory 'pc.ram': Cannot allocate memory", "labgen stop"),
        ("internal error: whatever", "/var/log/libvirt/qemu/domain.log"),
    ],
)
def test_what_helps_a_machine_to_start(refusal: str, fix: str) -> None:
    assert fix in remedies.start_machine(refusal, "domain")


def test_a_home_that_cannot_be_written(host: Path, hypervisor: FakeHypervisor) -> None:
    (host / "home").write_text("a file, so that not even root can write below")
    findings = by_name(doctor_module.examine())
    assert findings["files"].status == "fail"
    assert "LABGEN_HOME" in findings["files"].fix
    assert "machine" not in findings


def test_a_box_that_cannot_be_built_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "missing_packages", lambda: ["mmdebstrap"])
    finding = checks.box("debian13")
    assert finding.status == "fail"
    assert finding.fix.endswith(" mmdebstrap")


def test_no_tun(host: Path, hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_TUN", host / "no-tun")
    assert by_name(doctor_module.examine())["network"].status == "fail"
    assert "ensure_network" not in hypervisor.calls


def test_memory(host: Path, profile: Profile) -> None:
    (host / "meminfo").write_text("MemAvailable: 2097152 kB\n")
    finding = checks.memory(LOCAL, profile)
    assert finding.status == "fail"
    assert "2.0 GiB are available" in finding.evidence


@pytest.mark.parametrize(("free", "status"), [(1000, "ok"), (20, "warn"), (2, "fail")])
def test_disk(profile: Profile, free: int, status: str) -> None:
    finding = checks.disk(LOCAL, FakeHypervisor(free * GIB), profile)  # type: ignore[arg-type]
    assert finding.status == status
    assert bool(finding.fix) == (status != "ok")


def test_blocks_reserved_for_root_are_not_free(host: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "pool").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=GIB))
    assert checks.disk(LOCAL, FakeHypervisor(100 * GIB), profile).status == "fail"  # type: ignore[arg-type]


def test_no_subnet_left(hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABGEN_SUBNET_POOL", "10.77.0.0/24")
    finding = by_name(doctor_module.examine())["subnet"]
    assert finding.status == "fail"
    assert "LABGEN_SUBNET_POOL" in finding.fix


def test_a_box_that_nobody_knows() -> None:
    assert checks.box("no-such-box").status == "fail"


def test_a_box_that_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "find", lambda _: SimpleNamespace(version="13.8.1"))
    assert checks.box("debian13") == Finding("box debian13", "ok", "13.8.1 is built")


def test_a_box_and_no_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=GIB))
    assert checks.box("debian13").status == "fail"


def test_the_command(hypervisor: FakeHypervisor) -> None:
    result = CliRunner().invoke(doctor, ["--profile", "three-node-btrfs"])
    assert result.exit_code == 0, result.output
    assert "10.77.1.0/24 of 10.77.0.0/16 is free" in result.stdout
    assert "kvm: Enable virtualization" in result.stderr


def test_the_command_fails_as_json(hypervisor: FakeHypervisor, host: Path) -> None:
    (host / "iptables").unlink()
    result = CliRunner().invoke(doctor, ["--format", "json"])
    assert result.exit_code == 20
    assert '"missing: iptables"' in result.stdout
