"""The other shipped profiles and the other box, each from create to destroy."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import LABGEN, labgen, node_output, on_host

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]


@pytest.fixture(scope="module")
def alone(lab: str) -> Iterator[None]:
    """Stops the other lab: two cores cannot run more machines than these tests have."""
    labgen("suspend", lab)
    yield
    labgen("resume", lab)


@pytest.fixture
def other() -> Iterator[str]:
    """The name of a lab that the test makes."""
    before = on_host()
    yield "other"
    labgen("destroy", "other", "--yes", "--if-exists")
    assert on_host() == before


@pytest.mark.parametrize(
    ("profile", "settings", "managers", "workers", "driver"),
    [
        ("three-node-overlay2", [], 1, 2, "overlay2"),
        ("five-node-ha", ["resources.memory=768MiB"], 3, 2, "overlay2"),
        ("single-node", ["box=debian12", "storage.driver=btrfs"], 1, 0, "btrfs"),
    ],
)
def test_from_create_to_destroy(
    other: str, profile: str, settings: list[str], managers: int, workers: int, driver: str
) -> None:
    overrides = [word for setting in settings for word in ("--set", setting)]
    labgen("create", profile, "--name", other, *overrides)
    said = labgen("exec", other, "--all", "--", "docker", "info", "-f", "{{.Driver}}").stdout.splitlines()
    assert sorted(line.split(": ")[-1] for line in said) == [driver] * (managers + workers)
    format_ = "{{.Status}} {{if .ManagerStatus}}manager{{else}}worker{{end}}"
    listed = node_output(other, "manager1", "docker", "node", "ls", "--format", format_).splitlines()
    assert sorted(listed) == ["Ready manager"] * managers + ["Ready worker"] * workers
    assert "nothing to do" in labgen("create", profile, "--name", other, *overrides).stdout


def test_a_rendered_lab_needs_no_labgen(tmp_path: Path) -> None:
    """The output of ``labgen render`` is a complete Vagrant project: plain ``vagrant up`` prepares Docker in it."""
    before = on_host()
    directory = tmp_path / "lab"
    labgen("render", "single-node", str(directory), "--set", "storage.driver=btrfs")
    tmp_path.chmod(0o755)

    def vagrant(*arguments: str) -> str:
        return subprocess.run(
            ["vagrant", *arguments], cwd=directory, capture_output=True, text=True, check=True
        ).stdout

    try:
        vagrant("up", "--provider", "libvirt")
        assert vagrant("ssh", "manager1", "-c", "docker info -f '{{.Driver}}'").strip() == "btrfs"
    finally:
        vagrant("destroy", "-f")
    assert on_host() == before


def test_two_labs_made_at_once_live_side_by_side() -> None:
    before = on_host()
    running = [
        subprocess.Popen(
            [*LABGEN, "create", "single-node", "--name", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    outcomes = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], outcomes
    subnets = {row["name"]: row["subnet"] for row in json.loads(labgen("list", "--format", "json").stdout)}
    assert subnets["first"] != subnets["second"]
    labgen("destroy", "first", "--yes")
    assert node_output("second", "manager1", "docker", "info", "-f", "{{.Swarm.LocalNodeState}}") == "active"
    labgen("destroy", "second", "--yes")
    assert on_host() == before
