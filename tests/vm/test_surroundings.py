"""A host that misbehaves around a lab."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen.errors import HostError
from labgen.host import LOCAL
from labgen.hypervisor import heartbeat
from tests.vm.conftest import virsh

# 192.0.2.0/24 is for documentation (RFC 5737).
NETWORK = """<network><name>labgen-test</name><bridge name='lgtest'/><ip address='192.0.2.1' prefix='30'>
<dhcp><host mac='52:54:00:00:00:01' ip='192.0.2.2'/></dhcp></ip></network>"""


@pytest.fixture
def libvirtd() -> Iterator[int]:
    """The daemon's process; the daemon runs afterwards, whatever the test did to it."""
    process = int(Path("/run/labgen/libvirtd.pid").read_text())
    yield process
    os.kill(process, signal.SIGCONT)


def test_daemons_started_under_a_strict_umask_write_what_dnsmasq_can_read(tmp_path: Path) -> None:
    """It runs as a separate user, and reads this again whenever the network changes."""
    network = tmp_path / "network.xml"
    network.write_text(NETWORK)
    virsh("net-create", str(network))
    try:
        assert Path("/var/lib/libvirt/dnsmasq/labgen-test.hostsfile").stat().st_mode & 0o004
    finally:
        virsh("net-destroy", "labgen-test")


def test_a_libvirt_that_hangs_ends_the_call_that_waits_for_it(libvirtd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 1)
    monkeypatch.setattr(heartbeat, "COUNT", 3)
    with LOCAL.connect() as hypervisor:
        hypervisor.domains("")
        os.kill(libvirtd, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(HostError, match="libvirt has stopped answering") as caught:
            hypervisor.domains("")
        assert time.monotonic() - started < 15
    assert "keepalive" in caught.value.details
    assert "labgen doctor" in caught.value.resolution
