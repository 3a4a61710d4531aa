"""Disk images, with the real qemu-img."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labgen import disks
from labgen.errors import BundleError

MIB = 2**20


def image(*arguments: str) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


def write(path: Path, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "qcow2", *words, str(path)], check=True, capture_output=True)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A disk based on 12 MiB of data, with every kind of change to it."""
    base, path = tmp_path / "base.qcow2", tmp_path / "overlay.qcow2"
    image("create", "-f", "qcow2", str(base), "64M")
    write(base, "write -P 1 0 8M", "write -P 2 16M 4M")
    image("create", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(path))
    write(path, "write -P 3 1M 1M", "write -z 2M 1M", "discard 4M 1M", "write -P 7 40M 1M")
    return path


def test_a_delta_and_its_base_make_the_same_disk(overlay: Path, tmp_path: Path) -> None:
    base, delta = tmp_path / "base.qcow2", tmp_path / "delta.qcow2"
    flat = tmp_path / "flat.qcow2"
    image("convert", "-f", "qcow2", "-O", "qcow2", str(overlay), str(flat))
    moved: list[int] = []
    size = overlay.stat().st_size
    disks.delta(overlay, base, delta, moved.append)
    assert sum(moved) == size
    assert delta.stat().st_size < MIB
    disks.refuse_strange(delta, 64 * MIB)
    disks.attach(delta, base)
    image("compare", "-f", "qcow2", "-F", "qcow2", str(flat), str(delta))


def test_a_whole_disk_is_the_same_and_smaller(overlay: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.qcow2"
    disks.whole(overlay, whole, lambda _: None)
    image("compare", "-f", "qcow2", "-F", "qcow2", str(overlay), str(whole))
    assert whole.stat().st_size < MIB
    disks.refuse_strange(whole, 64 * MIB)


def test_how_far_a_conversion_is_can_be_heard(tmp_path: Path) -> None:
    source, target = tmp_path / "memory", tmp_path / "memory.qcow2"
    source.write_bytes(bytes(range(256)) * 40_960)
    moved: list[int] = []
    disks.packed(source, target, moved.append)
    assert len(moved) > 3
    assert sum(moved) == source.stat().st_size
    disks.unpacked(target, tmp_path / "again", moved.append)
    assert (tmp_path / "again").read_bytes() == source.read_bytes()


def test_a_conversion_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        disks.whole(_raw(tmp_path / "noise"), tmp_path / "target", lambda _: None)
    assert "not in qcow2 format" in caught.value.details


def test_a_conversion_that_is_interrupted_ends(overlay: Path, tmp_path: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disks.whole(overlay, tmp_path / "target", interrupt)


def _backing(path: Path) -> None:
    (path.parent / "secret").write_bytes(b"x" * MIB)
    image("create", "-f", "qcow2", "-b", str(path.parent / "secret"), "-F", "raw", str(path), "1M")


def _data_file(path: Path) -> None:
    image("create", "-f", "qcow2", "-o", f"data_file={path.parent / 'data'},data_file_raw=on", str(path), "1M")


def _encrypted(path: Path) -> None:
    """Not with LUKS: QEMU then benchmarks the processor, and fails on a busy host."""
    secret = ["--object", "secret,id=s,data=abc"]
    image("create", *secret, "-f", "qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=s", str(path), "1M")


def _snapshot(path: Path) -> None:
    image("create", "-f", "qcow2", str(path), "1M")
    image("snapshot", "-c", "one", str(path))


def _bomb(path: Path) -> None:
    image("create", "-f", "qcow2", str(path), "1T")


def _old(path: Path) -> None:
    image("create", "-f", "qcow2", "-o", "compat=0.10", str(path), "1M")


def _raw(path: Path) -> Path:
    path.write_bytes(b"x" * MIB)
    return path


def _other(path: Path) -> None:
    image("create", "-f", "vmdk", str(path), "1M")


def _short(path: Path) -> None:
    path.write_bytes(disks.MAGIC + b"\0\0\0\3")


def _nonsense(path: Path) -> None:
    image("create", "-f", "qcow2", str(path), "1M")
    data = bytearray(path.read_bytes())
    data[20:24] = b"\xff\xff\xff\xff"  # cluster bits
    path.write_bytes(data)


HOSTILE = [_backing, _data_file, _encrypted, _snapshot, _bomb, _old, _raw, _other, _short, _nonsense]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_what_labgen_does_not_write_is_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    make(path)
    with pytest.raises(BundleError) as caught:
        disks.refuse_strange(path, 2**30)
    assert path.name in caught.value.brief
