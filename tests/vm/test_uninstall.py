"""One command removes everything that labgen has created, and keeps what others own."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labgen.host import LOCAL
from labgen.host.local import LocalHost
from tests.vm.conftest import Ran, labgen, names, virsh, volumes

POOL = Path("/var/lib/libvirt/labgen")
FOREIGN = "somebody-elses.img"
BOX = "_vagrant_box_image_"  # in the names of boxes' copies in libvirt


@pytest.fixture
def home() -> Iterator[Path]:
    """A separate home, because the other tests continue with theirs; it has their box."""
    tests = Path(os.environ["LABGEN_HOME"])
    home = tests / "leaving"
    shutil.copytree(tests / "cache" / "boxes", home / "cache" / "boxes", copy_function=os.link)
    yield home
    if home.exists():
        run(home, "prune", "--everything", "--yes")
        shutil.rmtree(home, ignore_errors=True)


def run(home: Path, *arguments: str) -> Ran:
    return labgen(*arguments, env={"LABGEN_HOME": str(home), "VAGRANT_HOME": str(home / "vagrant")})


def whole_host() -> dict[str, Any]:
    """Everything that a user of libvirt can see, and the pool; except boxes that others' templates may need."""
    templates = any(".template-" in name for name in volumes())
    return {
        "domains": names("list", "--all"),
        "networks": names("net-list", "--all"),
        "pools": names("pool-list", "--all"),
        "volumes": {name for name in volumes() if not (templates and BOX in name)},
        "files": {path.name for path in POOL.glob("*") if not (templates and BOX in path.name)},
        "bridges": {path.name for path in Path("/sys/class/net").iterdir()},
        "saved": {path.name for path in Path("/var/lib/libvirt/qemu/save").glob("*")},
        "leases": {path.name for path in Path("/var/lib/libvirt/dnsmasq").iterdir()},
    }


def test_nothing_is_left_but_what_others_own(home: Path, tmp_path: Path) -> None:
    if "labgen" in names("pool-list", "--all"):  # otherwise prune would create it
        labgen("prune", "--yes")  # boxes that other tests have left and no disk is based on belong to everyone
    before = whole_host()
    run(home, "create", "single-node", "--name", "leaving", "--set", "orchestrator=none")
    run(home, "checkpoint", "save", "leaving", "once")
    run(home, "export", "leaving", "-o", str(tmp_path / "file"))
    run(home, "import", str(tmp_path / "file"), "--name", "second")
    virsh("vol-create-as", "labgen", FOREIGN, "1M")
    (home / "data" / "notes").write_text("mine")

    shown = run(home, "prune", "--everything", "--dry-run").stdout
    done = run(home, "prune", "--everything", "--yes")
    for name in ("leaving", "second", "labgen/debian13", str(home / "vagrant")):
        assert name in shown
        assert name in done.stdout
    assert FOREIGN in done.stderr
    assert str(home / "data" / "notes") in done.stderr
    assert FOREIGN in volumes()
    assert [path for path in home.rglob("*") if path.is_file()] == [home / "data" / "notes"]

    virsh("vol-delete", FOREIGN, "--pool", "labgen")
    (home / "data" / "notes").unlink()
    run(home, "prune", "--everything", "--yes")
    assert whole_host() == before
    assert POOL.exists() == ("labgen" in before["pools"])
    assert not home.exists()


@pytest.mark.parametrize("strange", [False, True])
def test_a_pool_goes_with_its_directory(strange: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that libvirt does not list as a volume keeps the directory."""
    directory = tmp_path / "pool"
    monkeypatch.setattr(LocalHost, "libvirt", replace(LOCAL.libvirt, pool="labgen-leaving", directory=directory))
    with LOCAL.connect() as hypervisor:
        hypervisor.pool.ensure()
        if strange:
            os.mkfifo(directory / "mine")
        hypervisor.pool.dissolve()
    assert "labgen-leaving" not in names("pool-list", "--all")
    assert directory.exists() == strange
