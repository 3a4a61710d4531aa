"""Boxes without building one: a fake mmdebstrap leaves the files that the image hook would leave."""

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from labgen import boxes, paths, surroundings
from labgen.boxes import builder as building
from labgen.boxes import command, recipe, store
from labgen.errors import BoxError
from labgen.progress import Event, Progress, Silent

FAKE = """#!{python}
import os, pathlib, sys, time
pathlib.Path("argv").write_text("\\0".join(sys.argv))
print("I: running apt-get update...", flush=True)
{behaviour}
out = pathlib.Path("out")
out.mkdir()
(out / "packages").write_text("btrfs-progs:amd64 6.14-1\\ndocker.io:amd64 26.1.5+dfsg1-9\\n")
(out / "debian_version").write_text("13.4\\n")
(out / "kernel").write_text("6.12.1+deb13-cloud-amd64\\n")
(out / "cmdline").write_text("root=UUID=1 rw quiet\\n")
(out / "emulated").write_text("norandmaps\\n")
for name in ("box.img", "vmlinuz", "initrd.img"):
    (out / name).write_bytes(name.encode() * 100)
"""


class Host:
    """A PATH with a stand-in for every program that a build needs."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        for program in building.PROGRAMS:
            self.program(program, "#!/bin/sh\n")
        self.mmdebstrap()

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def mmdebstrap(self, behaviour: str = "") -> None:
        self.program("mmdebstrap", FAKE.format(python=sys.executable, behaviour=behaviour))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    fake = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(building, "GRUB_BOOT", fake.bin / "mmdebstrap")
    return fake


def scratch_directories() -> list[Path]:
    return list(paths.boxes().glob(building.SCRATCH_PREFIX + "*"))


def words_to(steps: list[str]) -> Progress:
    """Appends reported text to the steps."""
    return Progress(lambda event: steps.append(event.text))


def test_a_built_box_is_complete_and_found(host: Host) -> None:
    steps: list[str] = []
    box = boxes.build("debian13", words_to(steps))
    assert box == boxes.find("debian13")
    assert (box.name, box.vagrant_name) == ("debian13", "labgen/debian13")
    assert box.directory == paths.boxes() / "debian13" / box.version
    assert sorted(path.name for path in box.directory.iterdir()) == [
        "box.img", "catalog.json", "debian13.box", "initrd.img", "lock.json", "vmlinuz",
    ]  # fmt: skip
    assert (box.cmdline, box.emulated) == ("root=UUID=1 rw quiet", "norandmaps")
    assert box.lock["docker"] == "26.1.5"
    assert box.lock["packages"]["btrfs-progs:amd64"] == "6.14-1"
    assert "building box debian13: fetching the package lists (1 of 7)" in steps
    assert not any("apt-get" in step for step in steps)
    assert scratch_directories() == []


def test_the_catalog_is_what_vagrant_reads(host: Host) -> None:
    box = boxes.build("debian13", Silent())
    package = box.directory / "debian13.box"
    catalog = json.loads(box.catalog.read_text())
    assert catalog["name"] == "labgen/debian13"
    assert catalog["versions"] == [
        {
            "version": box.version,
            "providers": [
                {
                    "name": "libvirt",
                    "url": package.as_uri(),
                    "checksum_type": "sha256",
                    "checksum": hashlib.sha256(package.read_bytes()).hexdigest(),
                }
            ],
        }
    ]


def test_the_package_is_an_uncompressed_tar_with_metadata(host: Host) -> None:
    box = boxes.build("debian13", Silent())
    with tarfile.open(box.directory / "debian13.box", "r:") as tar:
        metadata, image = tar.getmembers()
        assert (metadata.name, image.name) == ("metadata.json", "box.img")
        assert (image.uid, image.uname, image.mode) == (0, "", 0o644)
        content = tar.extractfile(metadata)
        assert content
        assert json.load(content) == {"provider": "libvirt", "format": "qcow2", "virtual_size": 10}


def test_the_version_follows_from_the_content() -> None:
    content = {"debian": "13.4", "recipe": "a", "packages": {"x": "1"}}
    number = building.version(content)
    assert number == building.version(json.loads(json.dumps(content)))
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert number == f"13.4.{int(digest[:8], 16)}"
    assert number != building.version({**content, "packages": {"x": "2"}})
    assert number != building.version({**content, "recipe": "b"})


def test_the_same_content_again_keeps_the_box_that_is_there(host: Host) -> None:
    first = boxes.build("debian13", Silent())
    before = first.image.stat().st_ino
    assert boxes.build("debian13", Silent()) == first
    assert first.image.stat().st_ino == before
    assert scratch_directories() == []


def test_ensure_builds_once(host: Host) -> None:
    first = boxes.ensure("debian13", Silent())
    host.mmdebstrap("sys.exit(1)")
    assert boxes.ensure("debian13", Silent()) == first


def test_a_changed_recipe_makes_a_box_outdated(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "recipes"
    shutil.copytree(paths.box_recipes(), copy)
    monkeypatch.setattr(paths, "box_recipes", lambda: copy)
    old = boxes.build("debian13", Silent())
    assert [row["state"] for row in boxes.listing() if row["name"] == "debian13"] == ["ready"]

    (copy / "base/files/etc/issue").write_text("changed\n")
    assert boxes.find("debian13") is None
    assert [row["state"] for row in boxes.listing() if row["name"] == "debian13"] == ["outdated"]

    new = boxes.ensure("debian13", Silent())
    assert new.version != old.version
    assert boxes.find("debian13") == new
    assert {box.version for box in store.built("debian13")} == {old.version, new.version}


def test_the_stock_box_is_one_of_its_own(host: Host) -> None:
    stock = boxes.build("debian13", Silent(), trimmed=False)
    assert stock.name == "debian13-stock"
    assert boxes.find("debian13") is None
    assert boxes.find("debian13", trimmed=False) == stock
    assert {row["name"] for row in boxes.listing()} == set(boxes.known())
    trimmed, untrimmed = recipe.load("debian13"), recipe.load("debian13", trimmed=False)
    assert "initramfs-tools" in untrimmed.packages
    assert "initramfs-tools" not in trimmed.packages
    assert trimmed.digest != untrimmed.digest


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(BoxError) as caught:
        boxes.find("debain13")
    assert caught.value.brief == "There is no box 'debain13'"
    assert "debian13" in caught.value.details
    assert caught.value.resolution == "labgen box list"


@pytest.mark.parametrize("broken", ["lock.json", "box.img"])
def test_a_directory_that_is_not_complete_is_no_box(host: Host, broken: str) -> None:
    box = boxes.build("debian13", Silent())
    (box.directory / broken).unlink()
    assert boxes.find("debian13") is None
    assert boxes.build("debian13", Silent()).version == box.version


def test_a_torn_lock_is_no_box(host: Host) -> None:
    box = boxes.build("debian13", Silent())
    (box.directory / "lock.json").write_text('{"recipe": "')
    assert boxes.find("debian13") is None


def test_a_failed_build_shows_the_evidence_and_leaves_nothing(host: Host) -> None:
    host.mmdebstrap("print('E: apt-get update failed'); sys.exit(1)")
    with pytest.raises(BoxError) as caught:
        boxes.build("debian13", Silent())
    assert caught.value.brief == "Building box 'debian13' failed"
    assert caught.value.details == "E: apt-get update failed"
    assert "labgen box build debian13" in caught.value.resolution
    log = paths.box_log("debian13")
    assert str(log) in caught.value.resolution
    assert log.read_text() == "I: running apt-get update...\nE: apt-get update failed\n"
    assert scratch_directories() == []
    assert boxes.find("debian13") is None


def test_a_failed_hook_shows_what_it_said_and_not_its_own_text(host: Host) -> None:
    """mmdebstrap repeats a hook's text before it runs it, and again when it has failed."""
    hook = recipe.load("debian13").image_hook
    host.mmdebstrap(
        f"hook = {hook!r}\n"
        "print('I: running --customize-hook in shell: sh -c ' + hook)\n"
        "print('mke2fs: No space left on device')\n"
        "print('E: setup failed: E: command failed: ' + hook)\n"
        "print('I: removing tempdir /tmp/x...')\n"
        "print('E: mmdebstrap failed to run')\n"
        "sys.exit(1)"
    )
    with pytest.raises(BoxError) as caught:
        boxes.build("debian13", Silent())
    assert caught.value.details.splitlines() == [
        "mke2fs: No space left on device",
        "E: setup failed: E: command failed: #!/bin/sh",
        "E: mmdebstrap failed to run",
    ]
    assert "mke2fs -q" in paths.box_log("debian13").read_text()


def test_all_stages_of_a_build_are_told_in_order(host: Host) -> None:
    host.mmdebstrap("print(" + repr("\n".join(command.STAGES)) + ")")
    steps: list[str] = []
    boxes.build("debian13", words_to(steps))
    told = [step for step in steps if " of 7)" in step]
    assert [step.rpartition("(")[2] for step in told] == [f"{number} of 7)" for number in (1, *range(1, 8))]


def test_a_full_disk_is_explained(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(image: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(building, "_pack_box", full)
    with pytest.raises(BoxError, match="cannot be written") as caught:
        boxes.build("debian13", Silent())
    assert "No space left on device" in caught.value.details
    assert scratch_directories() == []
    assert boxes.find("debian13") is None


def test_too_little_space_is_said_before_the_work(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SCRATCH_GIB", 10**9)
    host.mmdebstrap("raise SystemExit('must not run')")
    with pytest.raises(BoxError, match="Not enough disk space") as caught:
        boxes.build("debian13", Silent())
    assert "GiB free" in caught.value.details


def test_missing_programs_are_named_with_their_packages(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(surroundings, "SYSTEM_PROGRAMS", "/nonexistent")
    monkeypatch.setattr(building, "GRUB_BOOT", Path("/nonexistent"))
    with pytest.raises(BoxError) as caught:
        boxes.build("debian13", Silent())
    for package in [*building.PROGRAMS.values(), "grub-pc-bin"]:
        assert package in caught.value.resolution


def _build_forever() -> None:
    boxes.build("debian13", Silent())


def test_kill_9_leaves_no_box_no_process_and_the_next_build_cleans_up(host: Host) -> None:
    host.mmdebstrap("pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)")
    process = multiprocessing.get_context("fork").Process(target=_build_forever)
    process.start()
    pid = _when_written(building.SCRATCH_PREFIX + "*/pid")
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    _when_gone(pid)
    assert boxes.find("debian13") is None
    assert len(scratch_directories()) == 1

    host.mmdebstrap()
    assert boxes.build("debian13", Silent()) == boxes.find("debian13")
    assert scratch_directories() == []


def test_ctrl_c_leaves_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.mmdebstrap("time.sleep(60)")

    def interrupt(event: Event) -> None:
        if "package lists" in event.text:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        boxes.build("debian13", Progress(interrupt))
    assert time.monotonic() - started < 10
    assert scratch_directories() == []
    assert boxes.find("debian13") is None


def test_a_second_build_waits_for_the_first_and_takes_its_box(host: Host) -> None:
    host.mmdebstrap("pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(2)")
    process = multiprocessing.get_context("fork").Process(target=_build_forever)
    process.start()
    _when_written(building.SCRATCH_PREFIX + "*/pid")
    steps: list[str] = []
    host.mmdebstrap("raise SystemExit('must not run')")
    box = boxes.ensure("debian13", words_to(steps))
    process.join()
    assert [re.sub(r"process \d+: .*", "", step) for step in steps] == [
        "waiting: another box is being built (held by "
    ]
    assert box == boxes.find("debian13")


def _when_written(pattern: str) -> int:
    for _ in range(500):
        for path in paths.boxes().glob(pattern):
            if text := path.read_text():
                return int(text)
        time.sleep(0.02)
    raise AssertionError(pattern)


def _when_gone(pid: int) -> None:
    for _ in range(500):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} still runs")


def test_remove_takes_one_version_or_all(host: Host) -> None:
    box = boxes.build("debian13", Silent())
    with pytest.raises(BoxError, match="is not built") as caught:
        boxes.choose("debian13", "1.2.3")
    assert box.version in caught.value.details
    assert boxes.choose("debian13", box.version) == [box]
    boxes.remove(boxes.choose("debian13"))
    assert not box.directory.exists()
    assert boxes.find("debian13") is None


def test_the_command_line_has_the_packages_the_layers_and_the_disk(host: Host) -> None:
    argv = command.command(recipe.load("debian12"))
    hooks = [part.removeprefix("--customize-hook=") for part in argv if part.startswith("--customize-hook=")]
    assert argv[-2:] == ["bookworm", "/dev/null"]
    assert hooks[0] == "tar-in files.tar /"
    assert hooks[-1] == "copy-out /run/labgen/out ."
    assert hooks[-2] == (paths.box_recipes() / "image.sh").read_text()
    assert [hook.splitlines()[0] for hook in hooks[1:-1]] == [
        "#!/bin/sh",
        "#!/bin/sh",
        "echo 'labgen: image'",
        "#!/bin/sh",
    ]
    include = next(part for part in argv if part.startswith("--include=")).removeprefix("--include=").split(",")
    assert {"docker.io", "btrfs-progs", "tiny-initramfs"} <= set(include)
    assert "docker-cli" not in include
    assert not [part for part in argv if part.startswith("http")]


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "recipes"
    shutil.copytree(paths.box_recipes(), copy)
    monkeypatch.setattr(paths, "box_recipes", lambda: copy)
    return copy


@pytest.mark.parametrize("file", ["debian13.toml", "trim/layer.toml"])
def test_mmdebstrap_gets_the_components_that_a_recipe_and_its_layers_name(recipes: Path, file: str) -> None:
    path = recipes / file
    assert "--components=main" in command.command(recipe.load("debian13"))
    path.write_text(f'components = ["non-free-firmware", "main", "contrib"]\n{path.read_text()}')
    assert "--components=main,contrib,non-free-firmware" in command.command(recipe.load("debian13"))


def test_only_further_components_make_another_box_of_a_recipe(recipes: Path) -> None:
    path = recipes / "debian13.toml"
    text, before = path.read_text(), recipe.load("debian13")
    as_0_1_0 = {
        "suite": before.suite,
        "packages": before.packages,
        "hooks": [*(layer.hook for layer in before.layers), before.image_hook],
        "files": [
            {name: hashlib.sha256(data).hexdigest() for name, data in layer.files().items()}
            for layer in before.layers
        ],
    }
    digest = hashlib.sha256(json.dumps(as_0_1_0, sort_keys=True).encode()).hexdigest()
    assert before.digest == digest
    path.write_text(f'components = ["main"]\n{text}')
    assert recipe.load("debian13").digest == digest
    path.write_text(f'components = ["contrib"]\n{text}')
    assert recipe.load("debian13").digest != digest


def test_files_get_their_mode_from_their_content(tmp_path: Path) -> None:
    building._pack_files(recipe.load("debian13"), tmp_path / "files.tar")
    with tarfile.open(tmp_path / "files.tar") as tar:
        modes = {member.name: member.mode for member in tar}
    assert modes["usr/lib/labgen/early"] == 0o755
    assert modes["etc/systemd/system/labgen-early.service"] == 0o644


def test_scripts_are_posix_shell() -> None:
    scripts = [
        path
        for path in paths.box_recipes().rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
    ]
    assert len(scripts) >= 5
    for script in scripts:
        subprocess.run(["sh", "-n", str(script)], check=True)
