"""A host that misbehaves around a lab."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen.errors import HostError
from labgen.hypervisor import Hypervisor, heartbeat


@pytest.fixture
def libvirtd() -> Iterator[int]:
    """The daemon's process, which goes on afterwards whatever the test did to it."""
    process = int(Path("/run/labgen/libvirtd.pid").read_text())
    yield process
    os.kill(process, signal.SIGCONT)


def test_a_libvirt_that_hangs_ends_the_call_that_waits_for_it(libvirtd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 1)
    monkeypatch.setattr(heartbeat, "COUNT", 3)
    with Hypervisor.connect() as hypervisor:
        hypervisor.domains("")
        os.kill(libvirtd, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(HostError, match="libvirt stopped answering") as caught:
            hypervisor.domains("")
        assert time.monotonic() - started < 15
    assert "keepalive" in caught.value.details
    assert "labgen doctor" in caught.value.resolution
