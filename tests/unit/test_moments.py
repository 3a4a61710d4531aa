"""Suspending, resuming and checkpoints, on libvirt's test driver; tests/vm runs them on real machines."""

from collections.abc import Callable
from dataclasses import replace

import libvirt
import pytest

from labgen.errors import HypervisorError, LabgenError, UsageError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor
from labgen.lab import checkpoint, destroy, status
from labgen.lab.rebuild import losses, rebuild
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.lab.suspend import suspend
from labgen.machines import freeze
from labgen.progress import Silent
from labgen.records import checkpoints, journals
from tests.unit.host import Host, host
from tests.unit.test_lab import NODES, Heard, make

__all__ = ["host"]  # a fixture


def states() -> set[str]:
    return set(status.status("lab").states.values())


def snapshots(host: Host) -> set[str]:
    return {
        snapshot.getName()
        for domain in host.libvirt.listAllDomains()
        if domain.name() != "test"
        for snapshot in domain.listAllSnapshots()
    }


def failing(method: str, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Makes calls of a method of Hypervisor fail from the given number on; earlier calls do their work.

    Ctrl-C is pressed once.
    """
    original: Callable[..., None] = getattr(Hypervisor, method)
    calls: list[str] = []

    def call(self: Hypervisor, *arguments: str) -> None:
        calls.append(method)
        if len(calls) == after + 1 or (len(calls) > after and isinstance(error, HypervisorError)):
            raise error
        original(self, *arguments)

    monkeypatch.setattr(Hypervisor, method, call)


def test_suspended_and_resumed_with_the_right_time(host: Host) -> None:
    make()
    assert suspend("lab", Silent())
    assert states() == {"suspended"}
    assert status.status("lab").state == "suspended"
    assert not suspend("lab", Silent())
    assert start("lab", Silent()).changed
    assert states() == {"running"}
    assert all(host.machine(node).clock_is_set for node in NODES)
    assert all(len(host.machine(node).scripts) == 3 for node in NODES)


def test_memory_that_cannot_be_used_is_told_with_the_way_out(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    suspend("lab", Silent())
    failing("start", monkeypatch, 0, HypervisorError("starting failed", "unsupported machine type"))
    with pytest.raises(HypervisorError) as caught:
        start("lab", Silent())
    assert "unsupported machine type" in caught.value.details
    assert f"managedsave-remove {journals.load('lab').lab.nodes[0].domain}" in caught.value.resolution


def test_a_suspended_lab_is_not_stopped_by_the_way(host: Host) -> None:
    make()
    suspend("lab", Silent())
    with pytest.raises(UsageError, match="suspended") as caught:
        stop("lab", Silent())
    assert "labgen resume lab" in caught.value.resolution
    destroy.destroy("lab", Silent())
    assert host.domains() == set()


@pytest.mark.parametrize("error", [HypervisorError("no space"), KeyboardInterrupt()])
def test_what_cannot_be_suspended_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    make()
    failing("suspend", monkeypatch, 1, error)
    with pytest.raises(type(error)):
        suspend("lab", Silent())
    assert states() == {"running"}
    assert all(host.machine(node).clock_is_set for node in NODES)


def asleep_for_ever(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, libvirt cannot resume that node's machine."""
    stays = journals.load("lab").lab.node(node).domain
    for method in ("resume", "createWithFlags"):
        original: Callable[..., object] = getattr(libvirt.virDomain, method)

        def refuse(self: libvirt.virDomain, *flags: int, go_on: Callable[..., object] = original) -> object:
            if self.name() == stays:
                raise HypervisorError(f"starting {stays} failed", "its disk is gone")
            return go_on(self, *flags)

        monkeypatch.setattr(libvirt.virDomain, method, refuse)


def one_sleeps(asleep: str, others: str = "running") -> bool:
    found = status.status("lab").states
    return found.pop(asleep) == "suspended" and set(found.values()) == {others}


@pytest.mark.parametrize("asleep", NODES)
def test_after_an_export_the_others_go_on_where_one_cannot(
    host: Host, monkeypatch: pytest.MonkeyPatch, asleep: str
) -> None:
    lab = make().journal.lab
    asleep_for_ever(asleep, monkeypatch)
    with (
        pytest.raises(HypervisorError, match=lab.node(asleep).domain) as caught,
        LOCAL.connect() as hypervisor,
        freeze.held(lab, lab.nodes, hypervisor, Silent(), with_memory=False),
    ):
        pytest.fail("the machines are not all there")
    assert "its disk is gone" in caught.value.details
    assert one_sleeps(asleep)


@pytest.mark.parametrize("asleep", NODES)
def test_after_they_stood_still_the_others_go_on_where_one_cannot(
    host: Host, monkeypatch: pytest.MonkeyPatch, asleep: str
) -> None:
    lab = make().journal.lab
    asleep_for_ever(asleep, monkeypatch)
    with (
        pytest.raises(HypervisorError, match=lab.node(asleep).domain),
        LOCAL.connect() as hypervisor,
        freeze.standing_still(lab.nodes, hypervisor),
    ):
        pass
    assert one_sleeps(asleep)


@pytest.mark.parametrize("asleep", NODES)
def test_the_next_command_wakes_the_others_where_one_cannot(
    host: Host, monkeypatch: pytest.MonkeyPatch, asleep: str
) -> None:
    lab = make().journal.lab
    with LOCAL.connect() as hypervisor:
        for node in lab.nodes:
            hypervisor.pause(node.domain)
            host.held.add(node.domain)
    asleep_for_ever(asleep, monkeypatch)
    with pytest.raises(HypervisorError, match=lab.node(asleep).domain):
        start("lab", Silent())
    assert one_sleeps(asleep)


@pytest.mark.parametrize("asleep", NODES)
@pytest.mark.parametrize("method", ["pause", "suspend"])
def test_after_a_suspend_that_failed_the_others_go_on_where_one_cannot(
    host: Host, monkeypatch: pytest.MonkeyPatch, method: str, asleep: str
) -> None:
    make()
    failing(method, monkeypatch, 2, HypervisorError("no space"))
    asleep_for_ever(asleep, monkeypatch)
    with pytest.raises(HypervisorError):
        suspend("lab", Silent())
    found = status.status("lab").states
    assert {found[node] for node in NODES if node != asleep} == {"running"}
    assert found[asleep] == "suspended" or (method, asleep) == ("pause", NODES[-1])  # which was never paused


@pytest.mark.parametrize("asleep", NODES)
def test_a_resume_wakes_the_others_where_one_cannot(host: Host, monkeypatch: pytest.MonkeyPatch, asleep: str) -> None:
    make()
    suspend("lab", Silent())
    asleep_for_ever(asleep, monkeypatch)
    with pytest.raises(HypervisorError, match=f"{asleep} cannot be resumed from its saved memory"):
        start("lab", Silent())
    assert one_sleeps(asleep)


def test_a_checkpoint_is_saved_listed_restored_and_deleted(host: Host) -> None:
    make()
    checkpoint.save("lab", "before", Silent())
    assert states() == {"running"}
    assert snapshots(host) == {"before"}
    assert all(host.machine(node).clock_is_set for node in NODES)
    assert [(row["label"], row["running"]) for row in checkpoint.listing("lab")] == [("before", 3)]

    host.machine("worker1").clock_is_set = False
    stop("lab", Silent())
    checkpoint.restore("lab", "before", Silent())
    assert states() == {"running"}
    assert host.machine("worker1").clock_is_set

    checkpoint.delete("lab", "before", Silent())
    assert checkpoint.listing("lab") == []
    assert snapshots(host) == set()
    with pytest.raises(UsageError, match="no checkpoint"):
        checkpoint.restore("lab", "before", Silent())


def test_a_node_that_was_off_is_off_again(host: Host) -> None:
    make()
    lab = journals.load("lab").lab
    with LOCAL.connect() as hypervisor:
        hypervisor.cut_power(lab.node("worker2").domain)
    checkpoint.save("lab", "two", Silent())
    start("lab", Silent())
    checkpoint.restore("lab", "two", Silent())
    assert status.status("lab").states == {"manager1": "running", "worker1": "running", "worker2": "stopped"}


def test_labels_are_names_and_used_once(host: Host) -> None:
    make()
    checkpoint.save("lab", "one", Silent())
    with pytest.raises(UsageError, match="already"):
        checkpoint.save("lab", "one", Silent())
    for label in ("../../up", "Two", "", "a b", "-x"):
        with pytest.raises(UsageError, match="not a valid label"):
            checkpoint.save("lab", label, Silent())


@pytest.mark.parametrize("method", ["save_memory", "snapshot_disks", "restore_memory"])
@pytest.mark.parametrize("error", [HypervisorError("no space"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_a_running_lab_and_no_checkpoint(
    host: Host, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException
) -> None:
    make()
    failing(method, monkeypatch, 1, error)
    with pytest.raises(type(error)):
        checkpoint.save("lab", "half", Silent())
    assert states() == {"running"}
    assert checkpoint.listing("lab") == []
    assert snapshots(host) == set()


def calls_of(method: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that collects the first argument of each call of a method of Hypervisor from now on."""
    original: Callable[..., None] = getattr(Hypervisor, method)
    calls: list[str] = []

    def call(self: Hypervisor, *arguments: str) -> None:
        calls.append(arguments[0])
        original(self, *arguments)

    monkeypatch.setattr(Hypervisor, method, call)
    return calls


@pytest.mark.parametrize("error", [HypervisorError("no space"), KeyboardInterrupt()])
def test_a_restore_that_is_cut_off_is_done_again_whole(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    make()
    checkpoint.save("lab", "old", Silent())
    with monkeypatch.context() as patch:
        failing("revert_disks", patch, 1, error)
        with pytest.raises(type(error)):
            checkpoint.restore("lab", "old", Silent())
    assert checkpoints.load("lab", "old").phase == "restoring"
    reverted, remembered = calls_of("revert_disks", monkeypatch), calls_of("restore_memory", monkeypatch)
    start("lab", Silent())
    assert len(reverted) == len(remembered) == 3
    assert states() == {"running"}
    assert checkpoints.load("lab", "old").phase == "complete"


def test_machines_that_have_run_are_not_given_the_memory_of_before(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C once they resume: the checkpoint is complete, and nobody undoes it with memory older than the disks."""
    make()
    with monkeypatch.context() as patch:
        failing("start", patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save("lab", "kept", Silent())
    assert checkpoints.load("lab", "kept").phase == "complete"
    assert states() == {"running"}
    remembered = calls_of("restore_memory", monkeypatch)
    stop("lab", Silent())
    start("lab", Silent())
    assert not remembered


def test_an_undo_that_was_cut_off_uses_no_memory_twice(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    with monkeypatch.context() as patch:
        failing("snapshot_disks", patch, 1, KeyboardInterrupt())
        failing("forget_disks", patch, 0, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save("lab", "half", Silent())
    assert checkpoints.load("lab", "half").phase == "dropping"
    assert checkpoint.listing("lab") == []
    remembered = calls_of("restore_memory", monkeypatch)
    stop("lab", Silent())
    start("lab", Silent())
    assert not remembered
    assert states() == {"running"}
    assert not list(journals.paths.checkpoints("lab").glob("*"))
    assert not any(name.endswith(".memory") for name in host.volumes())


def test_what_was_cut_off_is_undone_before_it_is_deleted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    checkpoint.save("lab", "cut", Silent())
    checkpoints.save("lab", replace(checkpoints.load("lab", "cut"), phase="saving"))
    with LOCAL.connect() as hypervisor:
        for node in journals.load("lab").lab.nodes:
            hypervisor.cut_power(node.domain)
    remembered = calls_of("restore_memory", monkeypatch)
    checkpoint.delete("lab", "cut", Silent())
    assert len(remembered) == 3
    assert states() == {"running"}
    assert checkpoint.listing("lab") == []
    assert snapshots(host) == set()


def test_machines_that_a_killed_labgen_left_standing_still_go_on(host: Host) -> None:
    make()
    for node in journals.load("lab").lab.nodes:
        with LOCAL.connect() as hypervisor:
            hypervisor.pause(node.domain)
    heard = Heard()
    assert suspend("lab", heard)
    assert sum("was paused: resumed" in note for note in heard.notes) == 3
    assert all(host.machine(node).clock_is_set for node in NODES)
    with LOCAL.connect() as hypervisor:
        assert not any(
            hypervisor.go_on(domain.name) for domain in hypervisor.domains(journals.load("lab").lab.prefix)
        )


@pytest.mark.parametrize("phase", ["saving", "restoring"])
def test_what_a_killed_labgen_left_is_finished_by_the_next(host: Host, phase: checkpoints.Phase) -> None:
    make()
    checkpoint.save("lab", "cut", Silent())
    checkpoints.save("lab", replace(checkpoints.load("lab", "cut"), phase=phase))
    lab = journals.load("lab").lab
    with LOCAL.connect() as hypervisor:
        hypervisor.pause(lab.nodes[0].domain)
        hypervisor.cut_power(lab.nodes[1].domain)
    heard = Heard()
    start("lab", heard)
    assert any("interrupted" in note for note in heard.notes)
    assert states() == {"running"}
    assert [row["label"] for row in checkpoint.listing("lab")] == ([] if phase == "saving" else ["cut"])


def test_without_the_memory_the_machines_boot(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    checkpoint.save("lab", "old", Silent())
    failing("restore_memory", monkeypatch, 1, HypervisorError("another QEMU"))
    with pytest.raises(HypervisorError, match="another QEMU") as caught:
        checkpoint.restore("lab", "old", Silent())
    assert "labgen start lab" in caught.value.resolution
    assert states() == {"stopped"}
    start("lab", Silent())
    assert states() == {"running"}


def test_a_node_that_was_made_anew_has_no_checkpoint(host: Host) -> None:
    make()
    checkpoint.save("lab", "old", Silent())
    rebuild("lab", "worker1", losses("lab", "worker1"), Silent())
    with pytest.raises(UsageError, match="cannot be restored") as caught:
        checkpoint.restore("lab", "old", Silent())
    assert "worker1" in caught.value.details
    assert states() == {"running"}
    checkpoint.delete("lab", "old", Silent())
    assert checkpoint.listing("lab") == []
    assert not any(name.endswith(".memory") for name in host.volumes())


def test_the_oldest_comes_first_whatever_the_clock_was_set_to(host: Host) -> None:
    make()
    for label, created in (
        ("third", "2026-10-25T02:30:00.000+01:00"),  # in winter time, an hour after the second
        ("second", "2026-10-25T02:30:00.001+02:00"),
        ("first", "2026-10-25T02:30:00.000+02:00"),
    ):
        checkpoints.save("lab", checkpoints.Checkpoint(label, created, (), "complete"))
    assert [each.label for each in checkpoints.every("lab")] == ["first", "second", "third"]


def test_a_damaged_record_is_told(host: Host) -> None:
    make()
    checkpoint.save("lab", "one", Silent())
    next(journals.paths.checkpoints("lab").glob("*.json")).write_text("{")
    with pytest.raises(LabgenError, match="damaged"):
        checkpoint.listing("lab")


def test_destroy_takes_the_checkpoints_along(host: Host) -> None:
    make()
    checkpoint.save("lab", "one", Silent())
    destroy.destroy("lab", Silent())
    assert host.domains() == set()
    assert not journals.paths.checkpoints("lab").exists()
