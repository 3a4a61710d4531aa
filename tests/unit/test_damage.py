"""Damaged records: labgen's files after another program, a full disk or an editor has changed them."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import paramiko
import pytest

from labgen import boxes, paths, vagrant, vagrant_store
from labgen.boxes.store import LOCK
from labgen.errors import GuestError, LabgenError
from labgen.host import accelerator
from labgen.hypervisor import Hypervisor
from labgen.lab.create import create
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import archive, balancers, changes, checkpoints, data_home, journals, registry, results, templates
from labgen.records.balancers import Applied, Balancers
from labgen.records.changes import Change, Changes
from labgen.records.checkpoints import Checkpoint
from labgen.records.record import Damaged, Kind
from labgen.records.templates import Template
from labgen.ssh.keys import forget_hosts, load_known_hosts
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures

DAMAGE = {
    "empty": b"",
    "binary": bytes(range(256)),
    "a list": b"[1]",
    "too deep": b'{"a":' * 100000,
}
COMMANDS = [
    ["list"],
    ["list", "--format", "json"],
    ["status", "lab"],
    ["events", "lab"],
    ["ssh-config", "lab"],
    ["inventory", "lab"],
    ["checkpoint", "list", "lab"],
    ["drill", "lab", "--history"],
    ["report", "lab", "-o", "-", "--format", "md"],
    ["report", "old", "-o", "-"],
    ["report", "--list"],
    ["graph", "lab", "--format", "json"],
    ["box", "list"],
    ["prune", "--dry-run"],
    ["prune", "--everything", "--dry-run"],
    ["doctor"],
    ["create", "single-node", "--name", "lab", "--dry-run"],
    ["create", "single-node", "--name", "new", "--dry-run"],
    ["rebuild", "lab", "manager1", "--yes"],
    ["stop", "lab"],
    ["start", "lab"],
    ["suspend", "lab"],
    ["resume", "lab"],
    ["checkpoint", "save", "lab", "two"],
    ["checkpoint", "restore", "lab", "one"],
    ["export", "lab", "-o", "lab.labgen"],
    ["create", "single-node", "--set", "storage.driver=btrfs", "--name", "lab"],
    ["create", "single-node", "--set", "storage.driver=btrfs", "--name", "other"],
    ["prune", "--yes"],
    ["prune", "--records", "--dry-run"],
    ["box", "remove", "debian13", "--yes"],
    ["destroy", "lab", "--yes"],
    ["destroy", "--all", "--yes"],
]
EXPECTED = {0, 1, 2, 10, 20, 30, 40, 50, 60, 70}


@pytest.fixture
def lab(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A lab with one of every record that labgen keeps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vagrant, "plugins", lambda: ["vagrant-libvirt (0.11.2, system)"])
    monkeypatch.setattr(vagrant, "validate", lambda _directory: None)
    monkeypatch.setattr(Hypervisor, "capabilities", lambda _self: "")  # the test driver has none
    create(load("single-node", ("storage.driver=btrfs",)), "lab", Silent(), cold=True)
    checkpoints.save("lab", Checkpoint("one", "2026-11-25T12:00:00.000+00:00", ("manager1",), "complete"))
    changes.save("lab", Changes("labgen drill lab drain", (Change("availability", "manager1", "active"),)))
    applied = {"balancer1": Applied("1", "2026-11-25T12:00:00+00:00", "labgen create")}
    balancers.save("lab", Balancers(applied, ("worker1",)))
    paths.results("lab").mkdir()
    results._KIND.save(paths.results("lab") / "one.json", results.begun("drill", "drain", "web", "All is well."))
    former = paths.archived("old", "20261127-210000")
    (former / paths.RESULTS).mkdir(parents=True)
    results._KIND.save(former / paths.RESULTS / "one.json", results.begun("drill", "drain", "web", "All is well."))
    journals.keep(journals.load("lab"), former / paths.STATE)
    templates.save(Template("key", data_home.owner(), "2026", ("debian13", "1"), ("base.img", "x"), "pc", {}, 1))
    box = paths.boxes() / "debian13" / "13.1"
    box.mkdir(parents=True)
    (box / "box.img").touch()
    monkeypatch.setattr("labgen.lab.rebuild._image", lambda _lab, _progress: box / "box.img")
    lock = {"built": "2026", "recipe": "x", "cmdline": "", "debian": "13", "kernel": "6", "docker": "26"}
    (box / LOCK).write_text(json.dumps(lock))
    index = paths.vagrant_home() / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps({"version": 1, "machines": {"a": {"vagrantfile_path": str(paths.lab("lab"))}}}))
    (paths.lab("lab") / paths.KNOWN_HOSTS).touch()
    paths.cache_home().joinpath("accelerator.json").write_text("{}")
    return "lab"


RECORDS: dict[str, Callable[[], Path]] = {
    "journal": lambda: paths.lab("lab") / paths.STATE,
    "profile": lambda: paths.lab("lab") / paths.PROFILE,
    "network": lambda: paths.lab("lab") / paths.NETWORK_XML,
    "host keys": lambda: paths.lab("lab") / paths.KNOWN_HOSTS,
    "public key": lambda: paths.lab("lab") / f"{paths.KEY}.pub",
    "Vagrant's record": lambda: paths.lab("lab") / ".vagrant" / "machines" / "manager1" / "libvirt" / "id",
    "events": lambda: paths.events("lab"),
    "registry": paths.registry,
    "id": paths.identity,
    "checkpoint": lambda: paths.checkpoint("lab", "one"),
    "changes": lambda: paths.changes("lab"),
    "balancers": lambda: paths.balancers("lab"),
    "result": lambda: paths.results("lab") / "one.json",
    "archived result": lambda: paths.archived("old", "20261127-210000") / paths.RESULTS / "one.json",
    "archived journal": lambda: paths.archived("old", "20261127-210000") / paths.STATE,
    "template": lambda: paths.template_record("key"),
    "box": lambda: paths.boxes() / "debian13" / "13.1" / LOCK,
    "accelerator": lambda: paths.cache_home() / "accelerator.json",
    "Vagrant's index": lambda: paths.vagrant_home() / "data" / "machine-index" / "index",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("record", RECORDS)
def test_a_damaged_record_is_a_sentence_or_none_of_the_commands_business(
    lab: str, host: Host, run: Run, record: str, damage: str
) -> None:
    for command in COMMANDS:
        path = RECORDS[record]()
        if path.parent.is_dir():
            path.write_bytes(DAMAGE[damage])
        ended = run(*command)
        assert "Traceback" not in ended.stderr
        assert "bug in labgen" not in ended.stderr, f"{command} {ended.stderr}\n{paths.fault().read_text()}"
        assert ended.status in EXPECTED
        said = ended.stdout if command == ["doctor"] else ended.stderr
        assert ended.status == 0 or re.search("error: |fail", said), command
    assert host.domains() == set() or record == "id"


def places(content: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything in a record: keys and indexes."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, each in inner:
        yield (*way, key)
        yield from places(each, (*way, key))


def changed(content: Any, way: tuple[Any, ...], value: Any) -> Any:
    copied = deepcopy(content)
    inner = copied
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    return copied


def without(content: Any, way: tuple[Any, ...]) -> Any:
    copied = deepcopy(content)
    inner = copied
    for key in way[:-1]:
        inner = inner[key]
    del inner[way[-1]]
    return copied


KINDS: dict[str, Kind[Any]] = {
    "journal": journals._KIND,
    "registry": registry._KIND,
    "id": data_home._KIND,
    "checkpoint": checkpoints._KIND,
    "changes": changes._KIND,
    "balancers": balancers._KIND,
    "result": results._KIND,
    "template": templates._KIND,
}
LOADERS: dict[str, Callable[[], object]] = {
    "journal": lambda: (journals.load("lab"), registry.load()),
    "registry": registry.load,
    "id": data_home.known_owner,
    "checkpoint": lambda: checkpoints.every("lab"),
    "changes": lambda: changes.load("lab"),
    "balancers": lambda: balancers.load("lab"),
    "result": lambda: results.every("lab"),
    "archived result": lambda: [each.results() for each in archive.every()],
    "archived journal": lambda: [each.journal() for each in archive.every()],
    "template": templates.every,
    "box": boxes.listing,
    "accelerator": accelerator._recall,
    "Vagrant's index": lambda: (vagrant_store.records(), vagrant_store.is_bare()),
}


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, True, "\0"], ids=repr)
@pytest.mark.parametrize("record", LOADERS)
def test_a_field_of_another_type_is_damage(lab: str, record: str, value: Any) -> None:
    """Data that was read has the declared types, or the record is damaged: nothing fails later, elsewhere."""
    path = RECORDS[record]()
    content = json.loads(path.read_text())
    for way in places(content):
        path.write_text(json.dumps(changed(content, way, value)))
        with contextlib.suppress(LabgenError):
            LOADERS[record]()
    path.write_text(json.dumps(content))
    LOADERS[record]()


NOT_IN_ALL = {"schema", "rebuilding", "request"}  # 0.1.0 did not write them, or not in every record
NOT_IN_ALL_LABS = {("lab", "registry"), *(("lab", "nodes", number, "balancer") for number in range(3))}
NOT_IN_ALLERS = {"facts", "labels", "subnets", "slots"}  # their keys are names of nodes, labs, ...


@pytest.mark.parametrize("record", ["journal", "registry", "id", "checkpoint", "template"])
def test_a_field_that_is_missing_is_damage(lab: str, record: str) -> None:
    """Even if the code has a default for it: a journal without its stage does not mean a lab yet to be created."""
    path = RECORDS[record]()
    content = json.loads(path.read_text())
    fields = [
        way
        for way in places(content)
        if isinstance(way[-1], str)
        and way[0] not in NOT_IN_ALL
        and tuple(way) not in NOT_IN_ALL_LABS
        and not NOT_IN_ALLERS & set(way[:-1])
    ]
    assert fields
    for way in fields:
        path.write_text(json.dumps(without(content, way)))
        with pytest.raises(Damaged, match=r"lacks|missing"):
            KINDS[record].load(path)


@pytest.mark.parametrize(
    "content", [b"\0\0\0", b"\n\n\n", b"x", b"10.77.0.11 ssh-ed25519 !!\n", b"\xff\xfe", b" \t\n# x\n"]
)
def test_damaged_host_keys_are_named_or_passed_over(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(content)
    for use in (lambda: load_known_hosts(paramiko.SSHClient(), file), lambda: forget_hosts(file, {"10.77.0.11"})):
        file.write_bytes(content)
        try:
            use()
        except GuestError as error:
            assert str(file) in error.details
