"""A second create of a profile begins with what the first has kept, and shares no identity with it."""

import contextlib
import os
import signal
import subprocess
import time

import pytest

from tests.vm.conftest import LABGEN, NODES, labgen, names, node_output, on_host, volumes
from tests.vm.test_handoff import addresses, token

STARTED = "starting from the template"
IDENTITY = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /sys/class/net/e*/address"


def secrets(lab: str) -> set[str]:
    """Everything that no two labs may share."""
    own = {line for node in NODES for line in node_output(lab, node, "sh", "-c", IDENTITY).splitlines()}
    swarm = node_output(lab, "manager1", "docker", "info", "-f", "{{.Swarm.Cluster.ID}}")
    return own | {swarm, token(lab)} | set(node_output(lab, "manager1", "docker", "node", "ls", "-q").splitlines())


def is_whole(lab: str) -> None:
    listed = node_output(lab, "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.splitlines()) == [f"{node} Ready" for node in NODES]
    for node in NODES:
        assert node_output(lab, node, "docker", "info", "-f", "{{.Driver}}") == "btrfs"
        assert node_output(lab, node, "getent", "hosts", "worker2").split()[0] == addresses(lab)["worker2"]
        # A clock read over a slow login: off by seconds at most, and never by as long as the template is old.
        assert abs(int(node_output(lab, node, "date", "+%s")) - time.time()) < 20


def test_the_second_lab_shares_nothing_with_the_first(lab: str) -> None:
    first = secrets(lab)
    labgen("suspend", lab)  # two cores can run only three machines
    before = on_host()
    assert STARTED in labgen("create", "three-node-btrfs", "--name", "second").stderr
    is_whole("second")
    assert not secrets("second") & first

    labgen("stop", "second")
    labgen("start", "second")  # from its disks, like any other
    is_whole("second")
    labgen("destroy", "second", "--yes")
    assert on_host() == before
    labgen("resume", lab)


@pytest.mark.slow
def test_a_warm_create_cut_off_anywhere_is_finished_by_the_next(lab: str) -> None:
    labgen("suspend", lab)
    before = on_host()
    for moment in (1, 2, 4, 7, 11, 15):
        with subprocess.Popen(
            [*LABGEN, "create", "three-node-btrfs", "--name", "again"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    labgen("create", "three-node-btrfs", "--name", "again")
    is_whole("again")
    labgen("destroy", "again", "--yes")
    assert on_host() == before
    labgen("resume", lab)


@pytest.mark.slow
def test_prune_takes_all_that_was_kept(lab: str) -> None:
    domain = next(name for name in names("list", "--all") if f"_{lab}_" in name)
    ours = f"{domain.partition('_')[0]}.template-"  # other data homes keep theirs
    assert any(name.startswith(ours) for name in volumes())
    assert "template" in labgen("prune", "--cache", "--yes").stdout
    assert not any(name.startswith(ours) for name in volumes())
