"""Images in files, their names, and their way to the nodes of a lab."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labgen.errors import ImageError, UsageError
from labgen.images import Image, archive, read, reference
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures
ID = "ab" * 32


def saved(file: Path, *entries: Any, mode: str = "w") -> Path:
    """A file as ``docker save`` writes it. :param entries: of its manifest."""
    with tarfile.open(file, mode) as tar:  # type: ignore[call-overload]
        for name, content in (("layer.tar", b"x" * 5000), ("manifest.json", json.dumps(entries).encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def app(file: Path, *names: str) -> Path:
    return saved(file, {"Config": f"{ID}.json", "RepoTags": list(names), "Layers": ["layer.tar"]})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hello", "hello:latest"),
        ("hello:1.0_x", "hello:1.0_x"),
        ("team/shop-front", "team/shop-front:latest"),
        ("localhost:5000/a/b:2", "localhost:5000/a/b:2"),
        ("registry.example.org/a", "registry.example.org/a:latest"),
        ("docker.io/library/hello", "hello:latest"),
    ],
)
def test_names_are_as_docker_shows_them(text: str, name: str) -> None:
    assert reference(text) == name


@pytest.mark.parametrize(
    "text", ["", "Hello", "a:", "a:b:c", "-a", "a b", "a//b", "a:-x", "../a", "a@sha256:0", "a:é", "x" * 300]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a valid image name"):
        reference(text)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("config", [f"{ID}.json", f"blobs/sha256/{ID}"])
def test_a_saved_image_is_read(tmp_path: Path, mode: str, config: str) -> None:
    file = saved(tmp_path / "app.tar", {"Config": config, "RepoTags": ["docker.io/library/app:1"]}, mode=mode)
    assert read(file) == [Image(f"sha256:{ID}", ("app:1",))]


def no_tar(file: Path) -> None:
    file.write_text("FROM debian\n")


def empty(file: Path) -> None:
    file.touch()


def no_manifest(file: Path) -> None:
    with tarfile.open(file, "w") as tar:
        tar.addfile(tarfile.TarInfo("index.json"))


def truncated(file: Path) -> None:
    app(file, "app:1")
    file.write_bytes(file.read_bytes()[:5700])


def truncated_gz(file: Path) -> None:
    saved(file, {"Config": ID, "RepoTags": []}, mode="w:gz")
    file.write_bytes(file.read_bytes()[:-40])


def linked(file: Path) -> None:
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)


def huge(file: Path) -> None:
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = archive.LARGEST + 1
        tar.addfile(member, io.BytesIO(b" " * member.size))


@pytest.mark.parametrize("write", [no_tar, empty, no_manifest, truncated, truncated_gz, linked, huge])
def test_other_files_are_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "app.tar")
    with pytest.raises(ImageError, match="does not contain an image") as caught:
        read(tmp_path / "app.tar")
    assert "docker save IMAGE -o FILE" in caught.value.resolution  # not the name of the user's file


@pytest.mark.parametrize(
    "entry", [{}, {"Config": "x", "RepoTags": []}, {"Config": 7}, "x", {"Config": ID, "RepoTags": 5}]
)
def test_a_strange_manifest_is_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ImageError):
        read(saved(tmp_path / "app.tar", entry))


@pytest.fixture
def lab(host: Host, run: Run) -> str:
    assert run("create", "three-node-btrfs-client", "--name", "lab").status == 0
    return "lab"


def names(host: Host, node: str) -> set[str]:
    return {name for image in host.engine(node).images() for name in image.names}


def test_an_image_comes_to_all_nodes_once(lab: str, host: Host, run: Run, tmp_path: Path) -> None:
    file = str(app(tmp_path / "app.tar", "app:1"))
    loaded = json.loads(run("image", "load", lab, file, "--format", "json").stdout)
    assert loaded == [
        {"node": node, "images": ["app:1"], "result": "loaded"} for node in ("manager1", "worker1", "worker2")
    ]
    assert names(host, "worker2") == {"app:1"}
    again = run("image", "load", lab, file)
    assert again.stdout.count("present") == 3
    assert "has the image already" in again.stderr
    assert host.engine("worker2").calls.count("load") == 1


def test_a_further_name_needs_no_second_load(lab: str, host: Host, run: Run, tmp_path: Path) -> None:
    file = str(app(tmp_path / "app.tar", "app:1"))
    assert run("image", "load", lab, file, "--node", "worker1").status == 0
    assert run("image", "load", lab, file, "--node", "worker1", "--as", "shop").status == 0
    assert names(host, "worker1") == {"app:1", "shop:latest"}
    assert names(host, "worker2") == set()
    assert host.engine("worker1").calls.count("load") == 1


def test_an_image_without_a_name_needs_one(lab: str, host: Host, run: Run, tmp_path: Path) -> None:
    file = str(app(tmp_path / "app.tar"))
    refused = run("image", "load", lab, file)
    assert refused.status == 2
    assert "--as NAME:TAG" in refused.stderr
    assert run("image", "load", lab, file, "--as", "shop:2").status == 0
    assert names(host, "manager1") == {"shop:2"}


def test_one_name_is_not_given_to_two_images(lab: str, run: Run, tmp_path: Path) -> None:
    two = [{"Config": f"{digit * 64}.json", "RepoTags": [f"app:{digit}"]} for digit in "12"]
    file = str(saved(tmp_path / "app.tar", *two))
    refused = run("image", "load", lab, file, "--as", "shop")
    assert refused.status == 2
    assert "app:1, app:2" in refused.stderr
    assert run("image", "load", lab, file).status == 0


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--node", "client1"], 2, "client1 of 'lab' runs no Docker"),
        (["--node", "worker9"], 2, "no node named 'worker9'"),
        (["--as", "Shop"], 2, "not a valid image name"),
    ],
)
def test_what_cannot_be_is_refused_first(
    lab: str, host: Host, run: Run, tmp_path: Path, options: list[str], status: int, words: str
) -> None:
    refused = run("image", "load", lab, str(app(tmp_path / "app.tar", "app:1")), *options)
    assert refused.status == status
    assert words in refused.stderr
    assert names(host, "manager1") == set()


def test_a_file_that_is_no_image_is_exit_70(lab: str, run: Run, tmp_path: Path) -> None:
    no_tar(tmp_path / "Dockerfile")
    assert run("image", "load", lab, str(tmp_path / "Dockerfile")).status == 70


def test_a_stopped_lab_is_named(lab: str, run: Run, tmp_path: Path) -> None:
    assert run("stop", lab).status == 0
    refused = run("image", "load", lab, str(app(tmp_path / "app.tar", "app:1")))
    assert refused.status == 50
    assert "worker2: stopped" in refused.stderr
    assert "labgen start lab" in refused.stderr
