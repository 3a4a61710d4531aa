"""Users with other habits: a lab that was once complete is lost only by a command that announces it."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import labgen, names, node_output, virsh, volumes

LAB = "kept"
# Vagrant would keep its records elsewhere, and look for them there.
SURROUNDINGS = {"VAGRANT_DOTFILE_PATH": "elsewhere"}


@pytest.fixture(scope="module")
def kept() -> Iterator[str]:
    """A lab of one node with a user's data on its disk and in its Swarm."""
    labgen("create", "single-node", "--name", LAB, "--cold", env=SURROUNDINGS)
    node_output(LAB, "manager1", "sh", "-c", "echo mine >mine; echo mine | docker config create mine -; sync")
    yield LAB
    labgen("destroy", LAB, "--yes", "--if-exists")


def domain() -> str:
    return next(name for name in names("list", "--all") if name.endswith(f"_{LAB}_manager1"))


def what_the_user_has() -> list[str]:
    return node_output(LAB, "manager1", "sh", "-c", "cat mine; docker config ls --format '{{.Name}}'").splitlines()


def test_a_variable_of_vagrants_does_not_make_the_lab_anew(kept: str) -> None:
    again = labgen("create", "single-node", "--name", kept, "--cold", env=SURROUNDINGS)
    assert "nothing to do" in again.stdout
    assert what_the_user_has() == ["mine", "mine"]


def test_vagrants_records_are_written_again(kept: str) -> None:
    boot = node_output(kept, "manager1", "cat", "/proc/sys/kernel/random/boot_id")
    directory = Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / kept
    shutil.rmtree(directory / ".vagrant")
    labgen("start", kept)
    assert node_output(kept, "manager1", "cat", "/proc/sys/kernel/random/boot_id") == boot
    assert what_the_user_has() == ["mine", "mine"]
    record = directory / ".vagrant" / "machines" / "manager1" / "libvirt" / "id"
    assert record.read_text() == virsh("domuuid", domain()).strip()


def test_a_network_that_was_stopped_under_the_machine_is_started_and_the_machine_put_into_it(kept: str) -> None:
    boot = node_output(kept, "manager1", "cat", "/proc/sys/kernel/random/boot_id")
    card = virsh("domiflist", domain()).splitlines()[2].split()
    virsh("net-destroy", card[2])
    began = time.monotonic()
    found = labgen("status", kept, "--check", check=False)
    assert time.monotonic() - began < 60
    assert found.status == 50
    assert f"disconnected from the network: manager1. Reconnect: labgen start {kept}" in found.stderr
    entered = labgen("exec", kept, "--", "true", check=False)
    assert entered.status == 50
    assert "is disconnected from its network" in entered.stderr
    assert "reconnected manager1 to its network" in labgen("start", kept).stderr
    assert node_output(kept, "manager1", "cat", "/proc/sys/kernel/random/boot_id") == boot
    assert what_the_user_has() == ["mine", "mine"]
    assert virsh("domiflist", domain()).splitlines()[2].split() == card
    assert "nothing to do" in labgen("start", kept).stdout


def test_a_locked_swarm_is_not_replaced(kept: str) -> None:
    update = node_output(kept, "manager1", "docker", "swarm", "update", "--autolock=true")
    key = re.search(r"SWMKEY-\S+", update)
    assert key
    labgen("stop", kept)
    refused = labgen("start", kept, check=False)
    assert refused.status == 60
    assert "locked" in refused.stderr
    assert "docker swarm unlock" in refused.stderr
    unlock = f"echo '{key[0]}' | docker swarm unlock && docker swarm update --autolock=false"
    node_output(kept, "manager1", "sh", "-c", unlock)
    labgen("start", kept)
    assert what_the_user_has() == ["mine", "mine"]


def test_a_domain_that_was_undefined_is_defined_again_over_its_disks(kept: str) -> None:
    labgen("stop", kept)
    name, disks = domain(), volumes()
    virsh("undefine", name)
    refused = labgen("start", kept, check=False)
    assert refused.status == 40
    assert f"the machine {name}" in refused.stderr
    assert f"labgen rebuild {kept} manager1" in refused.stderr
    assert name not in names("list", "--all")
    labgen("rebuild", kept, "manager1", "--yes")
    assert volumes() == disks
    assert what_the_user_has() == ["mine", "mine"]


@pytest.mark.slow
def test_a_disk_that_was_removed_is_named_and_made_anew_only_on_request(kept: str) -> None:
    labgen("stop", kept)
    disk = f"{domain()}-vdb.qcow2"
    virsh("vol-delete", disk, "--pool", "labgen")
    refused = labgen("start", kept, check=False)
    assert refused.status == 40
    assert disk in refused.stderr
    assert disk not in volumes()
    assert labgen("rebuild", kept, "manager1", check=False).status == 2  # nobody is there to answer
    assert disk not in volumes()
    labgen("rebuild", kept, "manager1", "--yes")
    assert node_output(kept, "manager1", "docker", "info", "-f", "{{.Driver}} {{.Swarm.LocalNodeState}}") == (
        "overlay2 active"
    )


def test_a_copy_of_the_home_leaves_the_lab_alone_and_a_link_to_it_is_the_same_home(kept: str, tmp_path: Path) -> None:
    home = Path(os.environ["LABGEN_HOME"])
    shutil.copytree(home / "data", tmp_path / "copy" / "data", symlinks=True)
    for command in (["stop", kept], ["destroy", kept, "--yes"], ["prune", "--yes"]):
        refused = labgen(*command, env={"LABGEN_HOME": str(tmp_path / "copy")}, check=False)
        assert refused.status == 20
        assert "is a copy" in refused.stderr
    assert virsh("domstate", domain()).strip() == "running"

    by_link = {"LABGEN_HOME": "", "XDG_DATA_HOME": str(tmp_path / "share"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for link, target in {"share": "data", "cache": "cache"}.items():
        (tmp_path / link).mkdir()
        (tmp_path / link / "labgen").symlink_to(home / target)
    assert json.loads(labgen("status", kept, "--format", "json", env=by_link).stdout)["state"] == "running"
    labgen("destroy", kept, "--yes", env=by_link)
    assert not {name for name in names("list", "--all") | volumes() if f"_{LAB}_" in name}
    index = json.loads((Path(os.environ["VAGRANT_HOME"]) / "data" / "machine-index" / "index").read_text())
    assert not [each for each in index["machines"].values() if each["vagrantfile_path"].endswith(f"/{LAB}")]
