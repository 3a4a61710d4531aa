"""Valid bundles: written, read, signed, and never left half-written."""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from labgen import bundle
from labgen.bundle import BoxFacts, Machine, Manifest
from labgen.errors import BundleError
from labgen.progress import Amount, Event, Progress, Silent

PARTS: dict[str, bytes] = {
    "profile.yaml": b"name: lab\n",
    "up": b"#!/bin/sh\n",
    "guest/hosts.sh": b"#!/bin/sh\necho hosts\n",
    "disks/manager1.root.qcow2": b"x" * 3_000_000,
}


def manifest(**changes: object) -> Manifest:
    content: dict[str, object] = {
        "lab": "lab",
        "depth": "recipe",
        "created": "2026-11-23T10:00:00+00:00",
        "subnet": "10.77.0.0/24",
        "tools": {"labgen": "0.1.0"},
        "machine": Machine(type="", cpu=""),
        "box": BoxFacts(name="debian13", version="13.8.1", sha256="", packages={"docker.io": "26.1"}),
    }
    return Manifest.model_validate({**content, **changes})


def written(directory: Path, parts: dict[str, bytes] | None = None, sign: Path | None = None) -> Path:
    file = directory / "lab.labgen"
    bundle.write(file, manifest(), parts or PARTS, Silent(), executable={"up"}, sign=sign)
    return file


@dataclass
class Keys:
    mine: Path
    other: Path
    allowed: Path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    found = Keys(tmp_path / "mine", tmp_path / "other", tmp_path / "allowed")
    for key in (found.mine, found.other):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    found.allowed.write_text(f"anna@example.org {found.mine.with_suffix('.pub').read_text()}")
    return found


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert bundle.peek(file).lab == "lab"
    received = bundle.read(file, tmp_path / "staging", Silent())
    assert {name: path.read_bytes() for name, path in received.parts.items()} == PARTS
    assert received.signed_by is None
    assert all(path.is_relative_to(tmp_path / "staging") for path in received.parts.values())


def test_tar_unpacks_it_into_one_directory(tmp_path: Path) -> None:
    file = written(tmp_path)
    subprocess.run(["tar", "-xf", str(file)], cwd=tmp_path, check=True)
    assert (tmp_path / "lab" / "guest" / "hosts.sh").read_bytes() == PARTS["guest/hosts.sh"]
    assert (tmp_path / "lab" / "up").stat().st_mode & 0o111
    with tarfile.open(file) as tar:
        assert tar.getnames()[0] == "lab/manifest.json"


def test_what_a_lab_keeps_secret_is_its_owners_alone(tmp_path: Path) -> None:
    """Also after unpacking, by labgen or by hand, with any umask."""
    former = os.umask(0)
    try:
        file = written(tmp_path)
        subprocess.run(["tar", "-xf", str(file)], cwd=tmp_path, check=True)
        received = bundle.read(file, tmp_path / "staging", Silent())
    finally:
        os.umask(former)
    by_hand = [path for path in (tmp_path / "lab").rglob("*") if path.is_file()]
    assert len(by_hand) == len(PARTS) + 1
    assert not any(
        path.stat().st_mode & 0o077 for path in [file, tmp_path / "staging", *by_hand, *received.parts.values()]
    )


def test_the_same_lab_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert written(first).read_bytes() == written(second).read_bytes()


def test_parts_that_are_files_are_used_up(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"data")
    bundle.write(tmp_path / "out", manifest(), {"disks/a.qcow2": source}, Silent())
    assert not source.exists()


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "lab.labgen").write_text("mine")
    with pytest.raises(BundleError):
        written(tmp_path)
    assert (tmp_path / "lab.labgen").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    moved = 0

    def fail(_amount: Amount, count: int) -> None:
        nonlocal moved
        moved += count
        if moved > 4_000_000:  # the checksums have been computed, and the file has been begun
            raise error

    monkeypatch.setattr(Amount, "more", fail)
    with pytest.raises(BundleError if isinstance(error, OSError) else KeyboardInterrupt):
        written(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_on_a_file_system_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: str, flags: int, *arguments: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return opened(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert bundle.peek(written(tmp_path)).lab == "lab"
    assert [path.name for path in tmp_path.iterdir()] == ["lab.labgen"]


def test_what_else_lies_there_stays(tmp_path: Path) -> None:
    (tmp_path / "lab.labgen.partial").write_text("mine")
    written(tmp_path)
    assert (tmp_path / "lab.labgen.partial").read_text() == "mine"


@pytest.mark.parametrize(
    "names",
    [
        ["guest/provision/.hidden.sh"],
        ["guest/a.sh", "guest/A.sh"],
        [f"guest/{'x' * 101}"],
        [f"guest/{'/'.join(['x' * 60] * 3)}"],
    ],
)
def test_names_that_no_bundle_can_have(names: list[str]) -> None:
    assert bundle.unfit_names("l" * 40, ["guest/hosts.sh", *names]) == names


def test_a_signature_is_checked_against_those_allowed(tmp_path: Path, keys: Keys) -> None:
    file = written(tmp_path, sign=keys.mine)
    received = bundle.read(file, tmp_path / "one", Silent(), keys.allowed)
    assert received.signed_by is not None
    assert received.signed_by.startswith("anna@example.org (SHA256:")
    unchecked = bundle.read(file, tmp_path / "two", Silent()).signed_by
    assert unchecked is not None
    assert "not verified" in unchecked


def test_other_signatures_are_refused(tmp_path: Path, keys: Keys) -> None:
    file = written(tmp_path, sign=keys.other)
    with pytest.raises(BundleError, match="not signed by anyone"):
        bundle.read(file, tmp_path / "staging", Silent(), keys.allowed)
    (tmp_path / "unsigned").mkdir()
    with pytest.raises(BundleError, match="is not signed"):
        bundle.read(written(tmp_path / "unsigned"), tmp_path / "staging", Silent(), keys.allowed)
    assert not (tmp_path / "staging").exists()


def test_what_is_no_key_cannot_sign(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    with pytest.raises(BundleError, match="cannot sign"):
        written(tmp_path, sign=tmp_path / "key")
    assert not (tmp_path / "lab.labgen").exists()


def test_progress_has_bytes_and_their_total_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    clock = iter([0.0, 1.0, 1.1, 2.0])
    monkeypatch.setattr("labgen.progress.time.monotonic", lambda: next(clock))
    amount = Amount("copying", 40 * 2**20, Progress(heard.append), "worker1", stage="copy")
    for _ in range(3):
        amount.more(10 * 2**20)
    assert [(event.done, event.total) for event in heard] == [(n * 2**20, 40 * 2**20) for n in (0, 10, 30)]
    assert {(event.text, event.node, event.stage) for event in heard} == {("copying", "worker1", "copy")}
