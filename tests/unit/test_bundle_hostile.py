"""Untrusted bundles: each is refused with a sentence, and nothing is written outside the staging directory."""

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labgen import bundle
from labgen.bundle import reader as reading
from labgen.errors import BundleError
from labgen.progress import Silent
from tests.unit.host import Host, host
from tests.unit.test_cli import Run, run
from tests.unit.test_lab import NOTHING, traces

__all__ = ["host", "run"]  # fixtures

PROFILE = b"name: lab\n"
MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "lab": "lab",
    "depth": "recipe",
    "created": "2026-11-23T10:00:00+00:00",
    "subnet": "10.77.0.0/24",
    "tools": {"labgen": "0.1.0"},
    "machine": {"type": "", "cpu": ""},
    "box": {"name": "debian13", "version": "13.8.1", "sha256": "", "packages": {}},
    "parts": [
        {
            "name": "profile.yaml",
            "size": len(PROFILE),
            "sha256": hashlib.sha256(PROFILE).hexdigest(),
            "executable": False,
        }
    ],
}
PART = MANIFEST["parts"][0]


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if size is None else size
    head = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return head + data + b"\0" * (-len(data) % 512)


def made(*members: bytes, manifest: Any = None, end: bytes = b"\0" * 1024) -> bytes:
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest or MANIFEST).encode()
    return member("lab/manifest.json", text) + b"".join(members) + end


def with_part(**changes: Any) -> dict[str, Any]:
    return {**MANIFEST, "parts": [{**PART, **changes}]}


def renamed(name: str) -> bytes:
    """A manifest and a member that both have the given name."""
    return made(member(f"lab/{name}", PROFILE), manifest=with_part(name=name))


GOOD = made(member("lab/profile.yaml", PROFILE))
ZIPPED = io.BytesIO()
with zipfile.ZipFile(ZIPPED, "w") as archive:
    archive.writestr("lab/manifest.json", "{}")


def bad_checksum() -> bytes:
    data = bytearray(GOOD)
    data[3] ^= 1
    return bytes(data)


def raw_size(text: bytes) -> bytes:
    """A header with an odd size field and a correct checksum."""
    head = bytearray(member("lab/profile.yaml", PROFILE)[:512])
    head[124:136] = text
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return made(bytes(head) + PROFILE)


CASES: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello\n" * 500,
    "noise": bytes(range(256)) * 40,
    "zeros": b"\0" * 10240,
    "gzip": gzip.compress(GOOD),
    "xz": lzma.compress(GOOD),
    "zip": ZIPPED.getvalue(),
    "a part that is not in the manifest": made(member("lab/profile.yaml", PROFILE), member("lab/nodes", b"x")),
    "a part that is missing": made(),
    "a wrong hash": made(member("lab/profile.yaml", b"name: bad\n")),
    "differs in size": made(member("lab/profile.yaml", PROFILE + b"#")),
    "a shorter part": made(member("lab/profile.yaml", PROFILE[:-1])),
    "a part twice": made(member("lab/profile.yaml", PROFILE), member("lab/profile.yaml", PROFILE)),
    "a symbolic link": made(member("lab/profile.yaml", kind=tarfile.SYMTYPE, link="/etc/passwd")),
    "a hard link": made(member("lab/profile.yaml", kind=tarfile.LNKTYPE, link="/etc/passwd")),
    "a character device": made(member("lab/profile.yaml", kind=tarfile.CHRTYPE)),
    "a block device": made(member("lab/profile.yaml", kind=tarfile.BLKTYPE)),
    "a fifo": made(member("lab/profile.yaml", kind=tarfile.FIFOTYPE)),
    "a directory": made(member("lab/guest", kind=tarfile.DIRTYPE), member("lab/profile.yaml", PROFILE)),
    "a contiguous file": made(member("lab/profile.yaml", PROFILE, kind=tarfile.CONTTYPE)),
    "a sparse file": made(member("lab/profile.yaml", PROFILE, kind=tarfile.GNUTYPE_SPARSE)),
    "a long name": made(member("x", b"lab/profile.yaml\0", kind=tarfile.GNUTYPE_LONGNAME)),
    "a long link": made(member("x", b"/etc/passwd\0", kind=tarfile.GNUTYPE_LONGLINK)),
    "a pax header": made(
        member("x", b"20 path=../../etc/x\n", kind=tarfile.XHDTYPE), member("lab/profile.yaml", PROFILE)
    ),
    "a global pax header": made(member("x", b"20 path=../../etc/x\n", kind=tarfile.XGLTYPE)),
    "a pax header of a terabyte": made(member("x", kind=tarfile.XHDTYPE, size=2**40)),
    "an old header": made(member("lab/profile.yaml", PROFILE, kind=tarfile.AREGTYPE)),
    "a bomb: a terabyte announced": made(member("lab/profile.yaml", PROFILE, size=2**40)),
    "a bomb: in both places": made(member("lab/profile.yaml", PROFILE, size=2**40), manifest=with_part(size=2**40)),
    "an absolute path": renamed("/etc/cron.d/x"),
    "an absolute path that only tar says": made(member("/etc/cron.d/x", PROFILE)),
    "dots": renamed("../../etc/x"),
    "dots in the middle": renamed("guest/../../x"),
    "a dot": renamed("guest/./x"),
    "two slashes": renamed("guest//x"),
    "a hidden file": renamed("guest/.ssh"),
    "a backslash": renamed("guest\\x"),
    "a newline": renamed("guest/x\ny"),
    "a zero": made(manifest=with_part(name="guest/x\0y")),
    "another place": renamed("etc/passwd"),
    "the manifest as a part": renamed("manifest.json"),
    "parts that differ in case": made(
        member("lab/profile.yaml", PROFILE),
        manifest={**MANIFEST, "parts": [{**PART, "name": "guest/a"}, {**PART, "name": "guest/A"}]},
    ),
    "a part named twice": made(member("lab/profile.yaml", PROFILE), manifest={**MANIFEST, "parts": [PART, PART]}),
    "a file where a directory has to be": made(
        member("lab/guest/a", PROFILE),
        member("lab/guest/a/b", PROFILE),
        manifest={**MANIFEST, "parts": [{**PART, "name": "guest/a"}, {**PART, "name": "guest/a/b"}]},
    ),
    "another directory": member("other/manifest.json", json.dumps(MANIFEST).encode()) + b"\0" * 1024,
    "the manifest second": member("lab/profile.yaml", PROFILE) + GOOD,
    "two manifests": made(member("lab/manifest.json", b"{}"), member("lab/profile.yaml", PROFILE)),
    "a manifest from the future": made(manifest={**MANIFEST, "schema_version": 2, "wings": True}),
    "a manifest without a schema": made(manifest={k: v for k, v in MANIFEST.items() if k != "schema_version"}),
    "an unknown key": made(manifest={**MANIFEST, "run": "rm -rf /"}),
    "a negative size": made(manifest=with_part(size=-1)),
    "a size that is text": made(manifest=with_part(size="10")),
    "a size that is true": made(manifest=with_part(size=True)),
    "a huge number": made(manifest=b'{"schema_version": ' + b"9" * 5000 + b"}"),
    "not a number": made(manifest=b'{"schema_version": NaN}'),
    "a list": made(manifest=b"[]"),
    "deep lists": made(manifest=b"[" * 100_000),
    "no JSON": made(manifest=b"{"),
    "no text": made(manifest=b"\xff\xfe{"),
    "a key twice": made(manifest=json.dumps(MANIFEST).encode().replace(b'"lab":', b'"depth": "disks", "lab":', 1)),
    "a lab called dots": member("../manifest.json", json.dumps({**MANIFEST, "lab": ".."}).encode()),
    "a subnet that is none": made(manifest={**MANIFEST, "subnet": "10.77.0.0/8"}),
    "a subnet with too large a number": made(manifest={**MANIFEST, "subnet": "10.777.0.0/24"}),
    "a version with a path": made(manifest={**MANIFEST, "box": {**MANIFEST["box"], "version": "../1"}}),
    "a box with a path": made(manifest={**MANIFEST, "box": {**MANIFEST["box"], "name": "../x"}}),
    "control characters": made(manifest={**MANIFEST, "tools": {"labgen": "\x1b[2J"}}),
    "disks without their box": made(manifest={**MANIFEST, "depth": "disks"}),
    "a manifest of 9 MB": made(manifest=b" " * (9 * 2**20)),
    "bytes after the end": GOOD + b"x" * 512,
    "extra data between": GOOD.replace(PROFILE + b"\0", PROFILE + b"x", 1),
    "no end mark": made(member("lab/profile.yaml", PROFILE), end=b""),
    "a wrong checksum": bad_checksum(),
    "a negative octal size": raw_size(b"-0000000012\0"),
    "a size that is not a number": raw_size(b"zzzzzzzzzzz\0"),
    "a negative binary size": raw_size(b"\xff" * 12),
    "a huge binary size": raw_size(b"\x80" + b"\x7f" * 11),
    "a signature that is none": made(
        member("lab/manifest.json.sig", b"garbage"), member("lab/profile.yaml", PROFILE)
    ),
    "a huge signature": made(member("lab/manifest.json.sig", b"x" * 2**17), member("lab/profile.yaml", PROFILE)),
    "a manifest in another encoding, signed": made(
        member("lab/manifest.json.sig", b"garbage"), manifest=json.dumps(MANIFEST).encode("utf-16")
    ),
    "a key that steers the terminal": made(manifest={**MANIFEST, "\x1b]0;owned\x07\x1b[2J": 1}),
    "a lab's name that is too long": member(
        f"{'x' * 41}/manifest.json", json.dumps({**MANIFEST, "lab": "x" * 41}).encode()
    ),
    "a signature at the end": made(member("lab/profile.yaml", PROFILE), member("lab/manifest.json.sig", b"x")),
}


def around(directory: Path) -> set[Path]:
    return set(directory.rglob("*"))


def read(data: bytes, directory: Path) -> bundle.Received:
    file = directory / "file"
    file.write_bytes(data)
    return bundle.read(file, directory / "staging", Silent())


def test_the_good_one_is_read(tmp_path: Path) -> None:
    assert read(GOOD, tmp_path).parts["profile.yaml"].read_bytes() == PROFILE


@pytest.mark.parametrize("case", CASES)
def test_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read(CASES[case], tmp_path)
    assert caught.value.brief
    assert caught.value.brief.isprintable()
    assert around(tmp_path) == {tmp_path / "file"}


@pytest.mark.parametrize("case", CASES)
def test_the_command_refuses_it(case: str, host: Host, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(CASES[case])
    ran = run("import", str(file))
    assert ran.status == BundleError.exit_code == 70
    assert "error: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert all(each.isprintable() or each == "\n" for each in ran.stderr)
    assert ran.stdout == ""
    assert traces(host) == NOTHING


@pytest.mark.parametrize("length", [1, 100, 511, 512, 513, 1500, len(GOOD) - 1024, len(GOOD) - 1030])
def test_cut_off(length: int, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        read(GOOD[:length], tmp_path)
    assert around(tmp_path) == {tmp_path / "file"}


def test_a_disk_too_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RESERVE", 2**60)
    with pytest.raises(BundleError, match="not enough disk space"):
        read(GOOD, tmp_path)
    assert around(tmp_path) == {tmp_path / "file"}


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BundleError, match="cannot be read"):
            bundle.peek(path)


def changed(data: bytes, at: int, piece: bytes, how: str) -> bytes:
    ways: dict[str, Callable[[], bytes]] = {
        "replace": lambda: data[:at] + piece + data[at + len(piece) :],
        "insert": lambda: data[:at] + piece + data[at:],
        "cut": lambda: data[:at] + data[at + len(piece) :],
        "repeat": lambda: data[: at + len(piece)] + data[at:],
    }
    return ways[how]()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, len(GOOD)),
    piece=st.binary(min_size=1, max_size=600),
    how=st.sampled_from(["replace", "insert", "cut", "repeat"]),
)
def test_whatever_is_changed(tmp_path_factory: pytest.TempPathFactory, at: int, piece: bytes, how: str) -> None:
    directory = tmp_path_factory.mktemp("case")
    try:
        received = read(changed(GOOD, at, piece, how), directory)
    except BundleError:
        assert around(directory) == {directory / "file"}
    else:
        # Only things that no check can see: times and owners in a header, zeros at the end.
        assert received.parts["profile.yaml"].read_bytes() == PROFILE
        inside = {path for path in around(directory) if path.is_relative_to(directory / "staging")}
        assert around(directory) == inside | {directory / "file"}
