"""Labs on real machines. Run inside tests/vm/namespace, which gives them a separate libvirt and network."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LABGEN = [sys.executable, "-m", "labgen"]
NODES = ("manager1", "worker1", "worker2")
RESPONDER = "responder"
# What the image "responder" runs: it answers requests with its host's name.
SERVER = (
    'use IO::Socket::INET; open my $h, "<", "/etc/hostname"; chomp(my $b = <$h>);'
    ' my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die "$!";'
    " while (my $c = $s->accept) { sysread $c, my $r, 4096;"
    ' print $c "HTTP/1.0 200 OK\\r\\nContent-Length: " . length($b) . "\\r\\n\\r\\n$b"; close $c }'
)


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str


def labgen(*arguments: str, check: bool = True, env: dict[str, str] | None = None) -> Ran:
    """Runs the command as a user would."""
    result = subprocess.run(
        [*LABGEN, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        check=False,
    )
    ran = Ran(result.returncode, result.stdout, result.stderr)
    assert "Traceback" not in ran.stderr, ran.stderr
    if check:
        assert ran.status == 0, f"labgen {' '.join(arguments)}: exit {ran.status}\n{ran.stdout}{ran.stderr}"
    return ran


def virsh(*arguments: str) -> str:
    """libvirt's own output."""
    command = ["virsh", "-c", "qemu:///system", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def names(*arguments: str) -> set[str]:
    """The names in the output of a virsh list command."""
    return set(virsh(*arguments, "--name").split())


def volumes(pool: str = "labgen") -> set[str]:
    listed = subprocess.run(
        ["virsh", "-c", "qemu:///system", "vol-list", pool], capture_output=True, text=True, check=False
    )
    return {line.split()[0] for line in listed.stdout.splitlines()[2:] if line.strip()}


def on_host() -> dict[str, set[str]]:
    """Everything that labs leave on a host, as the host sees it; without volumes of boxes and templates: caches."""
    home = Path(os.environ["LABGEN_HOME"])
    index = Path(os.environ["VAGRANT_HOME"]) / "data" / "machine-index" / "index"
    machines = json.loads(index.read_text())["machines"] if index.exists() else {}
    return {
        "domains": names("list", "--all"),
        "networks": names("net-list", "--all"),
        "volumes": {name for name in volumes() if "_vagrant_box_image_" not in name and ".template-" not in name},
        "bridges": {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("lg")},
        "leases": {path.name for path in Path("/var/lib/libvirt/dnsmasq").iterdir() if path.name.startswith("lg")},
        "labs": {path.name for path in (home / "data" / "labs").glob("*")},
        "locks": {path.name for path in (home / "data" / "locks").glob("[!.]*")},
        "vagrant": {machine["vagrantfile_path"] for machine in machines.values()},
    }


def node_output(lab: str, node: str, *command: str) -> str:
    """A command's output in a machine."""
    return labgen("exec", lab, "--node", node, "--", *command).stdout.strip()


def rows(text: str) -> dict[str, dict[str, Any]]:
    """What deploy and stack list print in JSON, by service."""
    return {row["service"]: row for row in json.loads(text)}


def address(lab: str, node: str) -> str:
    nodes = json.loads(labgen("status", lab, "--format", "json").stdout)["nodes"]
    return next(str(each["address"]) for each in nodes if each["name"] == node)


def eventually(what: str, probe: Callable[[], Any], limit: float = 300) -> Any:
    """The first true value that a probe returns; fails with the name when the limit (seconds) passes."""
    deadline = time.monotonic() + limit
    while True:
        with contextlib.suppress(OSError):
            if answer := probe():
                return answer
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(1)


@pytest.fixture(scope="session", autouse=True)
def only_in_the_namespace() -> None:
    """Refuses to run where a packet could leave the machine."""
    if {path.name for path in Path("/sys/class/net").iterdir()} - {"lo"} and "LABGEN_HOME" not in os.environ:
        pytest.exit("run these tests as: tests/vm/namespace .venv/bin/pytest tests/vm", 2)
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    if any(route.split()[1] == "00000000" for route in routes):
        pytest.exit("there is a default route: run these tests as: tests/vm/namespace ...", 2)


@pytest.fixture(scope="session")
def lab(only_in_the_namespace: None) -> Iterator[str]:
    """The lab most tests share: three nodes, Docker on btrfs, a Swarm.

    With LABGEN_TEST_KEEP it is kept, and the next run in the same namespace reuses it; see CONTRIBUTING.md.
    """
    name, kept = "shared", bool(os.environ.get("LABGEN_TEST_KEEP"))
    if not kept:
        labgen("prune", "--cache", "--yes")  # templates of an earlier run
    labgen("create", "three-node-btrfs", "--name", name)
    yield name
    if not kept:
        labgen("destroy", name, "--yes")


@pytest.fixture(scope="session")
def responder(lab: str) -> str:
    make_responder(lab)
    return RESPONDER


def make_responder(lab: str) -> None:
    make_image(lab, RESPONDER)


def make_image(lab: str, name: str, *nodes: str) -> None:
    """Builds an image with the node's own Perl, because there is no registry. :param nodes: none means all."""
    script = (
        f"docker image inspect {name} >/dev/null 2>&1 ||"
        " { dpkg -L perl-base libc6 libcrypt1 | grep -v /share/ | grep -v '^/\\.$';"
        " echo /lib; echo /lib64; echo /bin; } | sort -u"
        f" | sudo tar --no-recursion -cPT - | docker import - {name}"
    )
    labgen("exec", lab, *(f"--node={node}" for node in nodes), "--", "sh", "-c", script)
