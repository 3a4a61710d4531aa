"""The calls to libvirt that merge an export's overlays into the disks; its test driver commits no blocks."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from labgen.hypervisor import Overlays
from labgen.model import Libvirt

NAME = "labgen-id_lab_manager1"
LIBVIRT = Libvirt("test:///default", "labgen", Path("/pool"))
BELOW = {"vda": f"{NAME}.img", "vdb": f"{NAME}-vdb.qcow2"}


@dataclass
class Machine:
    """A domain that writes to overlays.

    :param mirrors: the devices whose overlay QEMU has copied, and continues to copy until it is told to pivot.
    """

    active: bool = True
    saved: bool = False
    overlaid: set[str] = field(default_factory=lambda: set(BELOW))
    mirrors: set[str] = field(default_factory=set)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def XMLDesc(self) -> str:  # noqa: N802 - libvirt's name
        return f"<domain><devices>{''.join(map(self._disk, BELOW))}</devices></domain>"

    def _disk(self, device: str) -> str:
        source = f"{NAME}.{device}.overlay" if device in self.overlaid else BELOW[device]
        mirror = "<mirror type='file' ready='yes'/>" if device in self.mirrors else ""
        return f"<disk device='disk'><source file='/pool/{source}'/><target dev='{device}'/>{mirror}</disk>"

    def name(self) -> str:
        return NAME

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def hasManagedSaveImage(self) -> bool:  # noqa: N802
        return self.saved

    def createWithFlags(self, flags: int) -> None:  # noqa: N802
        self.active = True
        self.calls.append(("create", flags))

    def destroy(self) -> None:
        self.active = False
        self.calls.append(("destroy",))

    def blockCommit(self, *arguments: Any) -> None:  # noqa: N802
        assert self.active
        self.mirrors.add(arguments[0])
        self.calls.append(("commit", *arguments))

    def blockJobAbort(self, device: str, flags: int) -> None:  # noqa: N802
        self.mirrors.remove(device)
        self.overlaid.remove(device)
        self.calls.append(("abort", device, flags))


@dataclass
class Volumes:
    """:param names: of the pool's volumes."""

    machine: Machine
    names: list[str] = field(default_factory=lambda: [*BELOW.values(), *(f"{NAME}.{each}.overlay" for each in BELOW)])

    def volumes(self, prefix: str) -> list[str]:
        return [name for name in self.names if name.startswith(prefix)]

    def remove(self, name: str) -> None:
        assert not self.machine.overlaid, "a machine still writes to it"
        self.names.remove(name)


def end(machine: Machine) -> Volumes:
    volumes = Volumes(machine)
    connection: Any = SimpleNamespace(lookupByName={NAME: machine}.__getitem__)
    Overlays(connection, LIBVIRT, volumes).end(NAME)  # type: ignore[arg-type]
    return volumes


def test_an_overlay_is_committed_into_the_disk_below_it_and_no_deeper() -> None:
    machine = Machine()
    volumes = end(machine)
    commits = [call for call in machine.calls if call[0] == "commit"]
    assert [device for _, device, *_ in commits] == ["vda", "vdb"]
    for _, _, base, top, bandwidth, flags in commits:
        assert flags & libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
        assert flags & libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
        assert not flags & libvirt.VIR_DOMAIN_BLOCK_COMMIT_DELETE
        assert (base, top, bandwidth) == (None, None, 0)
    assert machine.overlaid == set()
    assert volumes.names == list(BELOW.values())


def test_the_machine_goes_on_with_the_disk_below() -> None:
    machine = Machine()
    end(machine)
    aborts = [call for call in machine.calls if call[0] == "abort"]
    assert aborts == [("abort", device, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) for device in BELOW]


def test_a_commit_that_somebody_has_begun_is_finished_and_not_begun_again() -> None:
    machine = Machine(mirrors={"vda"})
    end(machine)
    assert [call[1] for call in machine.calls if call[0] == "commit"] == ["vdb"]
    assert machine.overlaid == set()


@pytest.mark.parametrize(("saved", "stays_on"), [(False, False), (True, True)])
def test_a_machine_that_went_off_is_started_for_it_and_runs_nothing(saved: bool, stays_on: bool) -> None:
    machine = Machine(active=False, saved=saved)
    end(machine)
    assert machine.calls[0] == ("create", libvirt.VIR_DOMAIN_START_PAUSED)
    assert machine.active is stays_on
    assert machine.overlaid == set()


def test_a_machine_without_overlays_is_left_alone() -> None:
    machine = Machine(active=False, overlaid=set())
    volumes = end(machine)
    assert machine.calls == []
    assert volumes.names == list(BELOW.values())  # leftovers of a killed export in the pool are removed all the same
