"""Doctor on a host with common defects, compared with what ``create`` would do there."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import labgen, on_host

POOL = Path("/var/lib/libvirt/labgen")


def findings() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(labgen("doctor", "--format", "json", check=False).stdout)}


@contextlib.contextmanager
def device(*commands: str) -> Iterator[None]:
    """A network device ``tun0``, configured to be in use."""
    try:
        for command in ("link add tun0 type bridge", "link set tun0 up", *commands):
            subprocess.run(["ip", *command.split()], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", "tun0"], check=True)


@pytest.fixture(scope="module", autouse=True)
def as_it_was() -> Iterator[None]:
    labgen("doctor")  # creates the pool, if nothing has run before
    before = on_host()
    yield
    assert on_host() == before


def test_disks_that_qemus_user_cannot_reach() -> None:
    mode = POOL.stat().st_mode
    POOL.chmod(0o700)
    try:
        machine = findings()["machine"]
    finally:
        POOL.chmod(mode)
    assert machine["status"] == "fail"
    assert "Permission denied" in machine["evidence"]
    assert f"namei -l {POOL}" in machine["fix"]


def test_a_vpn_is_in_nobodys_way() -> None:
    with device("route add 10.0.0.0/8 dev tun0"):
        found = findings()
        planned = labgen("create", "single-node", "--dry-run")
    assert found["subnet"]["status"] == found["network"]["status"] == found["machine"]["status"] == "ok"
    assert "10.0.0.0/8, a route through tun0" in found["subnet"]["evidence"]
    assert "10.0.0.0/8, a route through tun0" in planned.stderr


def test_a_host_that_is_in_the_pool_itself_is_told_one_that_works() -> None:
    with device("address add 10.1.2.3/8 dev tun0"):
        subnet = findings()["subnet"]
        refused = labgen("create", "single-node", "--dry-run", check=False)
        [pool] = re.findall(r"LABGEN_SUBNET_POOL=([\d./]+)", subnet["fix"])
        planned = labgen("create", "single-node", "--dry-run", env={"LABGEN_SUBNET_POOL": pool})
    assert "10.0.0.0/8 (this host's own network on tun0)" in subnet["evidence"]
    assert refused.status == 20
    assert subnet["fix"] in refused.stderr
    assert "network 172.16.0.0/24" in planned.stdout
