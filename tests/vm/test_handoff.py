"""A lab is exported to one file and runs again: including the containers' images, volumes and services."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen import bundle
from labgen.progress import Silent
from tests.vm.conftest import (
    LABGEN,
    NODES,
    RESPONDER,
    SERVER,
    eventually,
    labgen,
    make_responder,
    node_output,
    on_host,
    volumes,
)

REPLICAS = "2"
SERVICE = ["docker", "service", "create", "--detach", "--name", "kept", "--replicas", REPLICAS, "--no-resolve-image"]
IDENTITY = "cat /etc/machine-id; sudo cat /etc/ssh/ssh_host_ed25519_key.pub; docker info -f '{{.ID}}'"

# A value that changes at every boot, and a file that is only in memory.
GOING = (
    "cat /proc/sys/kernel/random/boot_id;"
    " [ -e /run/going ] || sudo cp /proc/sys/kernel/random/uuid /run/going; cat /run/going"
)


def furnish(lab: str) -> None:
    """Puts data into a lab that has to arrive."""
    make_responder(lab)
    node_output(lab, "worker1", "docker", "volume", "create", "box")
    volume = "/var/lib/docker/volumes/box/_data/file"
    node_output(lab, "worker1", "sh", "-c", f"echo treasure | sudo tee {volume}")
    node_output(lab, "manager1", *SERVICE, RESPONDER, "perl", "-e", SERVER)
    eventually("the service runs", lambda: replicas(lab) == "2/2")


@pytest.fixture
def furnished(lab: str) -> Iterator[str]:
    furnish(lab)
    yield lab
    node_output(lab, "manager1", "docker", "service", "rm", "kept")
    node_output(lab, "worker1", "docker", "volume", "rm", "box")


def replicas(lab: str) -> str:
    return node_output(lab, "manager1", "docker", "service", "ls", "--format", "{{.Replicas}}")


def identities(lab: str) -> set[str]:
    said = labgen("exec", lab, "--", "sh", "-c", IDENTITY).stdout
    return {line.partition(": ")[2] for line in said.splitlines()}


def token(lab: str) -> str:
    return node_output(lab, "manager1", "docker", "swarm", "join-token", "-q", "worker")


def addresses(lab: str) -> dict[str, str]:
    nodes = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    return {node["name"]: node["address"] for node in nodes}


def has_arrived(lab: str) -> None:
    drivers = labgen("exec", lab, "--", "docker", "info", "-f", "{{.Driver}}").stdout.splitlines()
    assert sorted(drivers) == [f"{node}: btrfs" for node in NODES]
    assert node_output(lab, "worker1", "sudo", "cat", "/var/lib/docker/volumes/box/_data/file") == "treasure"
    assert "responder" in node_output(lab, "worker2", "docker", "image", "ls", "--format", "{{.Repository}}")
    eventually("the service runs", lambda: replicas(lab) == "2/2")


def test_machines_work_on_while_they_are_exported(furnished: str, tmp_path: Path) -> None:
    """They are paused only briefly, and what they write in the meantime is kept."""
    write = (
        "dd if=/dev/urandom of=/var/lib/docker/meanwhile bs=1M count=40 2>/dev/null; md5sum /var/lib/docker/meanwhile"
    )
    read = "echo 3 >/proc/sys/vm/drop_caches; md5sum /var/lib/docker/meanwhile; rm /var/lib/docker/meanwhile"
    begun = time.monotonic()
    with subprocess.Popen(
        [*LABGEN, "export", furnished, "-o", str(tmp_path / "file")], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = iter(process.stderr)
        assert any("copying the disks" in line for line in said)
        written = node_output(furnished, "worker1", "sudo", "sh", "-c", write)
        (pause,) = [match[1] for line in said if (match := re.search(r"were paused for ([0-9.]+) s", line))]
    assert process.returncode == 0
    assert float(pause) < (time.monotonic() - begun) / 4
    assert node_output(furnished, "worker1", "sudo", "sh", "-c", read) == written
    assert not any(name.endswith(".overlay") for name in volumes())


def test_beside_the_lab_it_came_from(furnished: str, tmp_path: Path) -> None:
    """Its addresses are in use: it gets others, its Swarm is formed again, and it shares no secret."""
    file = tmp_path / "lab.labgen"
    exported = labgen("export", furnished, "-o", str(file))
    assert "were paused" in exported.stderr
    assert replicas(furnished) == "2/2"
    before, known, secret, taken = on_host(), identities(furnished), token(furnished), addresses(furnished)
    labgen("suspend", furnished)  # two cores can run only three machines

    imported = labgen("import", str(file), "--name", "second")
    assert "addresses are in use" in imported.stderr
    assert "is not signed" in imported.stderr
    labgen("start", "second")
    assert not set(addresses("second").values()) & set(taken.values())
    has_arrived("second")
    assert not identities("second") & known
    assert token("second") != secret

    labgen("destroy", "second", "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    labgen("resume", furnished)


@pytest.mark.slow
def test_machines_go_on_elsewhere(furnished: str, tmp_path: Path) -> None:
    """What is only in memory arrives, next to the original lab: at other addresses, with another identity."""
    file = tmp_path / "lab.labgen"
    going = labgen("exec", furnished, "--", "sh", "-c", GOING).stdout
    known, secret = identities(furnished), token(furnished)
    assert "were paused" in labgen("export", furnished, "--depth", "running", "-o", str(file)).stderr
    assert replicas(furnished) == "2/2"
    labgen("suspend", furnished)
    before = on_host()

    assert "cannot be resumed from memory" not in labgen("import", str(file), "--name", "second").stderr
    assert "boot from their disks" not in labgen("start", "second").stderr
    assert sorted(labgen("exec", "second", "--", "sh", "-c", GOING).stdout.splitlines()) == sorted(going.splitlines())
    has_arrived("second")
    # Docker's ID is the sender's until Docker starts again.
    assert {line for line in identities("second") & known if not re.fullmatch(r"[0-9a-f-]{36}", line)} == set()
    assert token("second") != secret

    members = node_output("second", "manager1", "docker", "node", "ls", "-q").splitlines()
    labgen("stop", "second")
    labgen("start", "second")
    has_arrived("second")
    assert sorted(node_output("second", "manager1", "docker", "node", "ls", "-q").splitlines()) == sorted(members)
    assert not identities("second") & known
    labgen("destroy", "second", "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    labgen("resume", furnished)


@pytest.mark.slow
def test_a_recipe_is_made_anew(furnished: str, tmp_path: Path) -> None:
    """The same lab without its contents, and without any secret of the sender's."""
    file = tmp_path / "lab.labgen"
    assert "were paused" not in labgen("export", furnished, "--depth", "recipe", "-o", str(file)).stderr
    assert file.stat().st_size < 100_000
    known, secret = identities(furnished), token(furnished)
    labgen("suspend", furnished)
    before = on_host()
    labgen("import", str(file), "--name", "second")
    labgen("start", "second")
    drivers = labgen("exec", "second", "--", "docker", "info", "-f", "{{.Driver}}").stdout.splitlines()
    assert sorted(drivers) == [f"{node}: btrfs" for node in NODES]
    listed = node_output("second", "manager1", "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.splitlines()) == [f"{node} Ready" for node in NODES]
    assert not node_output("second", "worker1", "docker", "volume", "ls", "-q")
    # If Docker's machine was kept before Docker had started, its ID is the template's until it starts again.
    assert not {line for line in identities("second") & known if not re.fullmatch(r"[0-9a-f-]{36}", line)}
    assert token("second") != secret
    labgen("destroy", "second", "--yes")
    assert on_host() == before
    labgen("resume", furnished)


def on_other_hardware(file: Path, directory: Path) -> Path:
    """The same bundle, but from a machine of a type that no QEMU has."""
    received = bundle.read(file, directory / "parts", Silent())
    machine = received.manifest.machine.model_copy(update={"type": "pc-i440fx-99.0"})
    changed = received.manifest.model_copy(update={"parts": (), "machine": machine})
    other = directory / "other.labgen"
    bundle.write(other, changed, received.parts, Silent(), executable={"up"})
    return other


@pytest.mark.slow
def test_two_imports_side_by_side(lab: str, tmp_path: Path) -> None:
    """One resumes from its memory where its sender was; the other one's QEMU cannot, and boots from the disks."""
    labgen("suspend", lab)
    before = on_host()
    labgen("create", "single-node", "--name", "sent", "--set", "storage.driver=btrfs")
    node_output("sent", "manager1", "docker", "volume", "create", "box")
    node_output("sent", "manager1", "sh", "-c", "echo treasure | sudo tee /var/lib/docker/volumes/box/_data/file")
    going, home = node_output("sent", "manager1", "sh", "-c", GOING), addresses("sent")
    file = tmp_path / "sent.labgen"
    labgen("export", "sent", "--depth", "running", "--exclude-box", "-o", str(file))
    assert "/box/" not in subprocess.run(["tar", "-tf", str(file)], capture_output=True, text=True, check=True).stdout
    labgen("destroy", "sent", "--yes")
    other = on_other_hardware(file, tmp_path)

    assert "addresses are in use" not in labgen("import", str(file), "--name", "first").stderr
    without = labgen("import", str(other), "--name", "second").stderr
    assert "addresses are in use" in without
    assert "no machine type 'pc-i440fx-99.0'" in without
    labgen("start", "first")
    labgen("start", "second")
    assert addresses("first") == home
    assert node_output("first", "manager1", "sh", "-c", GOING) == going
    assert not set(node_output("second", "manager1", "sh", "-c", GOING).splitlines()) & set(going.splitlines())
    for name in ("first", "second"):
        assert node_output(name, "manager1", "docker", "info", "-f", "{{.Driver}}") == "btrfs"
        assert node_output(name, "manager1", "docker", "node", "ls", "--format", "{{.Status}}") == "Ready"
        assert node_output(name, "manager1", "sudo", "cat", "/var/lib/docker/volumes/box/_data/file") == "treasure"
    assert token("first") != token("second")
    labgen("destroy", "first", "--yes")
    labgen("destroy", "second", "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    labgen("resume", lab)


@pytest.mark.slow
def test_with_labgen_and_without(lab: str, tmp_path: Path) -> None:
    """One file, twice: brought up by plain vagrant, and imported under its own name and addresses."""
    labgen("suspend", lab)  # two cores can run only three machines
    before = on_host()
    labgen("create", "three-node-btrfs", "--name", "carried")
    furnish("carried")
    home, known = addresses("carried"), identities("carried")
    tmp_path.chmod(0o755)
    file = tmp_path / "carried.labgen"
    labgen("export", "carried", "-o", str(file))
    labgen("destroy", "carried", "--yes")
    assert on_host() == before

    subprocess.run(["tar", "-xf", str(file)], cwd=tmp_path, check=True)
    directory = tmp_path / "carried"
    try:
        plain = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        up = subprocess.run(["./up"], cwd=directory, env=plain, capture_output=True, text=True, check=False)
        assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]
        assert up.stdout.count("Ready") == len(NODES)

        def vagrant(node: str, command: str) -> str:
            words = ["vagrant", "ssh", node, "-c", command]
            return subprocess.run(words, cwd=directory, capture_output=True, text=True, check=True).stdout.strip()

        assert vagrant("worker2", "docker info -f '{{.Driver}}'") == "btrfs"
        assert vagrant("worker1", "sudo cat /var/lib/docker/volumes/box/_data/file") == "treasure"
        eventually(
            "the service runs", lambda: vagrant("manager1", "docker service ls --format '{{.Replicas}}'") == "2/2"
        )
    finally:
        subprocess.run(["vagrant", "destroy", "-f"], cwd=directory, check=False)

    assert "addresses are in use" not in labgen("import", str(file)).stderr
    labgen("start", "carried")
    assert addresses("carried") == home
    has_arrived("carried")
    assert not identities("carried") & known
    labgen("destroy", "carried", "--yes")
    labgen("prune", "--yes")
    assert on_host() == before
    labgen("resume", lab)


def brought_up_by_vagrant() -> dict[str, set[str]]:
    """What ./up and plain vagrant leave on a host; the provider's own pool is the default one."""
    boxes = Path(os.environ["VAGRANT_HOME"]) / "boxes"
    return {**on_host(), "default pool": volumes("default"), "boxes": {path.name for path in boxes.glob("bundle-*")}}


@pytest.mark.slow
def test_plain_vagrant_removes_what_it_has_made(tmp_path: Path) -> None:
    """First everything that belongs to one node alone, in the end everything."""
    settings = ["--set", "nodes.worker.count=1", "--set", "orchestrator=none"]
    labgen("create", "three-node-btrfs", "--name", "carried", "--cold", *settings)
    tmp_path.chmod(0o755)
    labgen("export", "carried", "-o", str(tmp_path / "file"))
    labgen("destroy", "carried", "--yes")
    before = brought_up_by_vagrant()
    subprocess.run(["tar", "-xf", str(tmp_path / "file")], cwd=tmp_path, check=True)
    directory = tmp_path / "carried"

    def vagrant(*words: str) -> str:
        ran = subprocess.run(["vagrant", *words], cwd=directory, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    try:
        up = subprocess.run(["./up"], cwd=directory, capture_output=True, text=True, check=False)
        assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]
        made = brought_up_by_vagrant()
        copies = {name for name in made["default pool"] if "_vagrant_box_image_" in name}
        assert len(copies - before["default pool"]) == 4

        vagrant("destroy", "-f", "worker1")
        left = brought_up_by_vagrant()
        assert left["boxes"] == {"bundle-carried-VAGRANTSLASH-manager1"}
        gone = made["default pool"] - left["default pool"]
        assert gone == {name for name in made["default pool"] if "worker1" in name}
        assert vagrant("ssh", "manager1", "-c", "docker info -f '{{.Driver}}'").strip() == "btrfs"
    finally:
        vagrant("destroy", "-f")
    assert brought_up_by_vagrant() == before


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["recipe", "disks", "running"])
def test_exports_and_imports_that_are_killed_leave_nothing(furnished: str, tmp_path: Path, depth: str) -> None:
    file, home = tmp_path / "lab.labgen", Path(os.environ["LABGEN_HOME"])
    for seconds in (0.5, 1, 2, 4, 8):
        command = [*LABGEN, "export", furnished, "--depth", depth, "-o", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
        file.unlink(missing_ok=True)
        labgen("start", furnished)
        assert replicas(furnished) == "2/2"
    labgen("export", furnished, "--depth", depth, "-o", str(file))
    before = on_host()
    for seconds in (0.2, 0.5, 1, 2, 4):
        command = [*LABGEN, "import", str(file), "--name", "second"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
        if (home / "data" / "labs" / "second" / "lab.json").exists():
            labgen("destroy", "second", "--yes")  # it was faster
        labgen("prune", "--yes")
        assert on_host() == before
