"""Images built here: a fake mmdebstrap gives the packages' files, umoci and skopeo make the image."""

import json
import os
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from labgen import images, paths
from labgen.errors import ImageError
from labgen.images import builder, recipe, store
from labgen.progress import Progress, Silent
from tests.unit.commands import Run, run
from tests.unit.host import Host, host

__all__ = ["host", "run"]  # fixtures

# Beside what is wanted: this host's files, another date each time, and what nobody needs.
FAKE = """#!{python}
import io, os, sys, tarfile, time
{behaviour}
print("I: running apt-get update...", flush=True)
with tarfile.open(sys.argv[-1], "w", format=tarfile.PAX_FORMAT) as tar:
    for path, text in {{
        "./etc/resolv.conf": "nameserver 192.0.2.1",
        "./etc/hostname": "desk",
        "./usr/share/doc/a/changelog.gz": "long",
        "./usr/share/doc/a/copyright": "MIT",
        "./usr/share/man/man1/a.1.gz": "long",
        "./usr/bin/busybox": "{content}",
        "./srv/index.html": "of the package",
    }}.items():
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(text), 0o755
        member.mtime = int(os.environ["SOURCE_DATE_EPOCH"])
        tar.addfile(member, io.BytesIO(text.encode()))
"""


class Programs:
    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.mmdebstrap()

    def mmdebstrap(self, behaviour: str = "", content: str = "elf") -> None:
        program = self.bin / "mmdebstrap"
        program.write_text(FAKE.format(python=sys.executable, behaviour=behaviour, content=content))
        program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    fake = Programs(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    return fake


def layer(image: images.BuiltImage) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(image.archive) as tar:
        stream = tar.extractfile("manifest.json")
        assert stream
        (name,) = json.load(stream)[0]["Layers"]
        blob = tar.extractfile(name)
        assert blob
        with tarfile.open(fileobj=blob) as files:
            return {member.name: member for member in files}


def config(image: images.BuiltImage) -> dict[str, object]:
    with tarfile.open(image.archive) as tar:
        stream = tar.extractfile(f"{image.id.removeprefix('sha256:')}.json")
        assert stream
        return dict(json.load(stream))


def leftovers() -> list[Path]:
    return list(paths.images().glob(builder.SCRATCH_PREFIX + "*"))


def test_an_image_has_what_is_needed_and_nothing_of_this_host(programs: Programs) -> None:
    image = images.build("hello", Silent())
    found = layer(image)
    assert {"usr/bin/busybox", "usr/share/doc/a/copyright", "srv/slow"} <= set(found)
    assert not {"etc/resolv.conf", "etc/hostname", "usr/share/doc/a/changelog.gz"} & set(found)
    assert not any("man1" in path for path in found)
    assert found["usr/bin/sh"].linkname == "busybox"
    assert found["usr/local/bin/serve"].mode == 0o755
    for parent in list(PurePosixPath("usr/local/bin/serve").parents)[:-1]:  # Docker 20.10 creates them for root only
        assert (found[str(parent)].isdir(), found[str(parent)].mode) == (True, 0o755)
    assert found["srv/index.html"].mode == 0o644
    assert found["srv/index.html"].size > 100  # the recipe's, not the package's
    assert {member.mtime for member in found.values()} == {0}
    described = config(image)
    assert described["created"] == "1970-01-01T00:00:00Z"
    assert described["config"] == {
        "User": "65534:65534",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["VERSION=1"],
        "Entrypoint": ["/usr/local/bin/serve"],
    }
    assert leftovers() == []


def test_a_recipe_may_say_how_its_container_ends_and_where_it_writes(programs: Programs) -> None:
    stopped = config(images.build("php", Silent()))["config"]
    assert isinstance(stopped, dict)
    assert stopped["StopSignal"] == "SIGQUIT"
    image = images.build("mariadb", Silent())
    data = layer(image)["var/lib/mysql"]
    assert (data.isdir(), data.uid, data.gid, data.mode) == (True, 999, 999, 0o755)
    assert (layer(image)["var/lib"].uid, layer(image)["usr/local/bin/serve"].uid) == (0, 0)


def test_two_builds_have_one_id(programs: Programs) -> None:
    first = images.build("hello", Silent())
    assert [each.id for each in images.read(first.archive)] == [first.id]
    (first.directory / store.LOCK).unlink()  # as if it were another host
    second = images.build("hello", Silent())
    assert second.id == first.id
    assert images.build("hello", Silent()) == second  # it is kept
    programs.mmdebstrap(content="newer")
    newer = images.build("hello", Silent())
    assert newer.id != first.id
    assert [each.id for each in images.built("hello")].count(newer.id) == 1


def test_what_is_built_is_not_built_again(programs: Programs) -> None:
    steps: list[str] = []
    built = images.ensure("hello", Progress(lambda event: steps.append(event.text)))
    assert "building the image hello: fetching the package lists (1 of 3)" in steps
    programs.mmdebstrap("raise SystemExit('must not run')")
    assert images.ensure("hello", Silent()) == built


def test_a_changed_recipe_is_built_again(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.build("hello", Silent())
    changed = tmp_path / "images" / "hello"
    changed.mkdir(parents=True)
    text = (paths.image_recipes() / "hello" / "image.toml").read_text()
    (changed / "image.toml").write_text(text.replace('version = "1"', 'version = "2"'))
    monkeypatch.setattr(paths, "image_recipes", lambda: changed.parent)
    assert [row["state"] for row in images.listing()] == ["outdated"]
    assert images.ensure("hello", Silent()).reference == "localhost/hello:2"
    assert sorted(str(row["state"]) for row in images.listing()) == ["outdated", "ready"]


def test_a_failed_build_says_why_and_leaves_nothing(programs: Programs) -> None:
    programs.mmdebstrap("print('E: Unable to locate package busybox-static'); sys.exit(1)")
    with pytest.raises(ImageError) as caught:
        images.build("hello", Silent())
    assert "Unable to locate package" in caught.value.details
    assert str(paths.image_log("hello")) in caught.value.resolution
    assert leftovers() == []
    assert images.built("hello") == []


def test_a_program_that_fails_is_named(programs: Programs) -> None:
    (programs.bin / "skopeo").write_text("#!/bin/sh\necho no space left >&2; exit 1\n")
    (programs.bin / "skopeo").chmod(0o755)
    with pytest.raises(ImageError, match="skopeo failed") as caught:
        images.build("hello", Silent())
    assert caught.value.details == "no space left"
    assert images.built("hello") == []


def test_missing_programs_are_named(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builder.PROGRAMS, "labgen-no-such-program", "umoci")
    with pytest.raises(ImageError) as caught:
        images.build("hello", Silent())
    assert caught.value.resolution == "sudo apt install --no-install-recommends umoci"


def test_the_remains_of_a_killed_build_are_removed(programs: Programs) -> None:
    (paths.images() / f"{builder.SCRATCH_PREFIX}x").mkdir(parents=True)
    images.build("hello", Silent())
    assert leftovers() == []


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"id": 1, "built": 1, "recipe": 1, "reference": 1}'])
def test_a_damaged_record_is_no_image(programs: Programs, damage: str) -> None:
    image = images.build("hello", Silent())
    (image.directory / store.LOCK).write_text(damage)
    assert images.built("hello") == []
    assert images.build("hello", Silent()).id == image.id


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("version = 1", "'version' must be a quoted string"),
        ('ports = ["80"]', "'ports' must be a list of numbers"),
        ("links = [1]", "'links' must be a table of quoted strings"),
        ("packages = 'x'", "'packages' must be a list of quoted strings"),
        ("stop_signal = 3", "'stop_signal' must be a quoted string"),
        ("writable = ['srv']", "'user' must be UID:GID if there are 'writable' directories"),
        ("= x", "cannot be read"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    fields = {
        "version": '"1"', "suite": '"trixie"', "packages": "[]", "entrypoint": "[]", "user": '"1"', "ports": "[]",
    }  # fmt: skip
    name, _, _ = line.partition(" = ")
    lines = [f"{field} = {value}" for field, value in fields.items() if field != name]
    (mine / "image.toml").write_text("\n".join([*lines, line]))
    monkeypatch.setattr(paths, "image_recipes", lambda: tmp_path)
    with pytest.raises(ImageError) as caught:
        recipe.load("mine")
    assert words in f"{caught.value.brief} {caught.value.details}"
    assert caught.value.resolution == "See docs/images.md, Recipes"


def test_the_commands(programs: Programs, run: Run) -> None:
    assert json.loads(run("image", "list", "--format", "json").stdout) == [
        {"name": name, "image": f"localhost/{name}:1", "state": "not built"}
        for name in ("hello", "mariadb", "nginx", "php")
    ]
    (row,) = json.loads(run("image", "build", "hello", "--format", "json").stdout)
    assert row["image"] == "localhost/hello:1"
    assert Path(row["file"]).is_file()
    assert "ready" in run("image", "list").stdout
    unknown = run("image", "build", "helo")
    assert unknown.status == 70
    assert "hello" in unknown.stderr


def test_it_is_built_and_loaded_by_name(programs: Programs, host: Host, run: Run) -> None:
    assert run("create", "three-node-btrfs-client", "--name", "lab").status == 0
    for name, result in (("hello", "loaded"), ("localhost/hello:1", "present")):
        loaded = json.loads(run("image", "load", "lab", name, "--format", "json").stdout)
        assert [row["result"] for row in loaded] == [result] * 3
    wrong = run("image", "load", "lab", "helo")
    assert wrong.status == 2
    assert "neither an image that labgen builds nor a file" in wrong.stderr
    assert "hello" in wrong.stderr


def test_the_images_of_a_lab(programs: Programs, host: Host, run: Run) -> None:
    assert run("create", "three-node-btrfs-client", "--name", "lab").status == 0
    assert run("image", "load", "lab", "hello", "--node", "worker1", "--node", "manager1").status == 0
    (row,) = json.loads(run("image", "list", "lab", "--format", "json").stdout)
    assert row["images"] == ["localhost/hello:1"]
    assert row["nodes"] == ["manager1", "worker1"]
    assert row["size"] > 0
    assert "localhost/hello:1" in run("image", "list", "lab").stdout
    assert run("stop", "lab").status == 0
    off = run("image", "list", "lab")
    assert off.status == 0
    assert "manager1 is stopped: its images are not listed" in off.stderr
