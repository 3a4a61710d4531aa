"""Pairs: every bad_profiles/NAME.yaml is refused with the text in NAME.txt."""

import os
import time
from pathlib import Path

import pytest

from labgen.errors import ProfileError
from labgen.profile import files as files_module
from labgen.profile import find, load, parse, shipped
from labgen.profile.problems import MOST_SHOWN
from labgen.profile.source import LARGEST

BAD = Path(__file__).parent / "bad_profiles"
GOOD = "name: lab\nnodes: {manager: {role: manager}}\n"


def refused(reference: str | Path) -> ProfileError:
    with pytest.raises(ProfileError) as raised:
        load(str(reference))
    return raised.value


@pytest.mark.parametrize("bad", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_pair(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    monkeypatch.setattr("labgen.boxes.recipe.known", lambda: ["debian12", "debian13"])
    error = refused(bad.name)
    assert f"{error.brief}\n{error.details}\n" == bad.with_suffix(".txt").read_text()
    assert error.exit_code == 10
    assert error.resolution.endswith(f"labgen profile validate {bad.name}")


@pytest.mark.parametrize("bad", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_errors_are_short_and_printable(bad: Path) -> None:
    lines = refused(bad).details.splitlines()
    assert all(line.isprintable() and len(line) < len(str(bad)) + 300 for line in lines)
    assert len(lines) <= MOST_SHOWN + 1


def test_unknown_name_names_near_ones() -> None:
    error = refused("three-node-btrf")
    assert "three-node-btrfs" in error.details
    assert "labgen profile list" in error.resolution


def test_unknown_name_lists_all() -> None:
    assert all(name in refused("zzz").details for name in shipped())


@pytest.mark.parametrize(
    "reference", ["", " ", "x" * 5000, "x" * 300 + ".yaml", "/" + "x/" * 3000, "a\0b", "\udcff", "--"]
)
def test_strange_references(reference: str) -> None:
    error = refused(reference)
    assert (error.brief + error.details + error.resolution).encode()


def test_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml").details.endswith("none.yaml: cannot be read: No such file or directory")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path).details


def test_device() -> None:
    assert "is a device" in refused("/dev/zero").details


def test_socket(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "x.yaml"))
        assert "is a socket" in refused(tmp_path / "x.yaml").details


@pytest.mark.timeout(10)
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    assert "is a pipe" in refused(tmp_path / "x.yaml").details


@pytest.mark.timeout(10)
def test_pipe_that_takes_the_files_place_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    seen = []
    check = files_module._require_regular
    monkeypatch.setattr(
        files_module, "_require_regular", lambda mode: seen.append(mode) or len(seen) == 1 or check(mode)
    )
    assert "is a pipe" in refused(tmp_path / "x.yaml").details


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)

    def denied(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert refused(tmp_path / "x.yaml").details.endswith("x.yaml: cannot be read: Permission denied")


def test_file_that_fails_while_being_read() -> None:
    assert "cannot be read" in refused("/proc/self/mem").details


def test_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("x.yaml")
    assert "Too many levels" in refused(tmp_path / "x.yaml").details


def test_binary(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: lab\n\x7fELF\x02\xff\xfe")
    assert "is not UTF-8 text (line 2, byte 15)" in refused(tmp_path / "x.yaml").details


def test_utf16(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(GOOD.encode("utf-16"))
    assert "is not UTF-8 text" in refused(tmp_path / "x.yaml").details


def test_ten_megabytes_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_bytes(b"#" * 10_000_000)
    read = []
    original = files_module._read
    monkeypatch.setattr(files_module, "_read", lambda *args: read.append(original(*args)) or read[-1])
    assert refused(tmp_path / "x.yaml").details.endswith("x.yaml: is larger than 64 KiB")
    assert len(read[0]) == LARGEST + 1


def test_byte_order_mark_and_windows_line_endings_are_fine(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(str(tmp_path / "x.yaml")).profile.name == "lab"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "[" * LARGEST,
        "{a: " * (LARGEST // 4),
        "- " * (LARGEST // 2),
        "? " * (LARGEST // 2),
        "&a " * (LARGEST // 3),
        "a: [" + "*a," * (LARGEST // 3 - 3) + "]",
        "".join(f"k{n}: 1\n" for n in range(LARGEST // 11)),
        "a: 1\n" * (LARGEST // 5),
        GOOD + "provision: [" + "/," * (LARGEST // 2 - 100) + "]",
        "name: a\nnodes: {" + ",".join(f"n{n}: {{count: 50}}" for n in range(LARGEST // 21)) + "}",
        "name: a\nnodes: {" + ",".join(f"n{n}: {{conut: 50}}" for n in range(LARGEST // 21)) + "}",
        "name: " + "9" * (LARGEST - 10),
        "name: 1e99999\n",
        "\n" * LARGEST,
        "\t\n" * (LARGEST // 2),
    ],
    ids=lambda text: text[:12],
)
def test_hostile_text_takes_little_time(text: str) -> None:
    assert len(text) <= LARGEST
    start = time.process_time()
    with pytest.raises(ProfileError):
        parse(text, "hostile")
    assert time.process_time() - start < 10  # normally half a second; slow machines get more time


def test_label_is_relative_below_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text("colour: red\n")
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path / "x.yaml").details.startswith("x.yaml:1: ")


def test_current_directory_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert load(str(tmp_path / "x.yaml")).profile.name == "lab"


def test_a_file_without_a_suffix_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text(GOOD)
    (tmp_path / "single-node").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert find("mine") == Path("mine")
    assert find("single-node") == shipped()["single-node"]  # the name takes precedence; ./single-node is the file
    assert find("./single-node") == Path("single-node")


def test_several_mistakes_are_numbered_by_line_and_those_of_set_come_last(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: A\nnodes: {manager: {role: boss}}\n")
    with pytest.raises(ProfileError) as raised:
        load(str(tmp_path / "x.yaml"), ["box=B"])
    places = [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in raised.value.details.splitlines()]
    assert places == ["x.yaml:1", "x.yaml:2", "--set box=B"]
