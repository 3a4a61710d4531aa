"""Files of a lab with anything in them: each command has a result or a sentence, and destroy removes the lab."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labgen import paths, registry
from labgen.lab import checkpoint
from labgen.progress import Silent
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.test_lab import NOTHING, make, traces

__all__ = ["host", "run"]  # fixtures

COMMANDS = [
    ["list"],
    ["status", "lab", "--check"],
    ["exec", "lab", "--", "true"],
    ["ssh-config", "lab"],
    ["inventory", "lab"],
    ["checkpoint", "list", "lab"],
    ["stop", "lab"],
    ["start", "lab"],
    ["create", "three-node-btrfs", "--name", "lab"],
    ["create", "three-node-btrfs", "--name", "lab", "--dry-run"],
    ["export", "lab", "--depth", "recipe", "-o", "lab.labgen"],
    ["box", "list"],
    ["prune", "--yes"],
]
FILES: dict[str, Callable[[], Path]] = {
    "journal": lambda: paths.lab("lab") / paths.STATE,
    "profile": lambda: paths.lab("lab") / paths.PROFILE,
    "network": lambda: paths.lab("lab") / paths.NETWORK_XML,
    "known_hosts": lambda: paths.lab("lab") / paths.KNOWN_HOSTS,
    "key": lambda: paths.lab("lab") / paths.KEY,
    "public key": lambda: (paths.lab("lab") / paths.KEY).with_suffix(".pub"),
    "Vagrant's record": lambda: paths.lab("lab") / ".vagrant" / "machines" / "manager1" / "libvirt" / "id",
    "Vagrant's index": lambda: paths.vagrant_home() / "data" / "machine-index" / "index",
    "registry": paths.registry,
    "checkpoint": lambda: paths.checkpoint("lab", "label"),
    "verdict on KVM": lambda: paths.cache_home() / "accelerator.json",
    "box": lambda: paths.boxes() / "debian13" / "13.1.1" / "lock.json",
    "template": lambda: paths.template("key") / "template.json",
}
CONTENTS = {
    "lines": b"\n\n \n",
    "no UTF-8": b"\xff\xfe{",
    "an object": b'{"subnets": 7, "machines": [], "lab": null, "schema": "1", "built": 0}',
    "null": b"null",
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_ends_nothing(
    name: str, content: str, host: Host, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make()
    checkpoint.save("lab", "label", Silent())
    FILES[name]().parent.mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        FILES[name]().write_bytes(CONTENTS[content])
        run(*command)  # anything but a sentence would be raised here
    FILES[name]().parent.mkdir(parents=True, exist_ok=True)
    FILES[name]().write_bytes(CONTENTS[content])
    assert run("destroy", "lab", "--yes").status == 0
    assert traces(host) == NOTHING


@pytest.mark.parametrize("name", FILES)
def test_a_directory_in_its_place_ends_nothing(
    name: str, host: Host, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make()
    checkpoint.save("lab", "label", Silent())
    FILES[name]().unlink(missing_ok=True)
    FILES[name]().mkdir(parents=True)
    for command in COMMANDS:
        run(*command)
    if FILES[name]() != paths.registry():
        run("destroy", "lab", "--yes")
        assert host.domains() == set()
        assert registry.load().subnets == {}
