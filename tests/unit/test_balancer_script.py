"""balancer.sh itself, with the programs themselves, and the machine's directories in another place."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen import paths
from labgen.balancers import BALANCERS, Frontend, Site
from labgen.balancers.base import Places, Rendered
from labgen.machines import balancing
from labgen.model import Balancer
from labgen.plan import BALANCER
from tests.unit.backends import Server, ask, free_port, published, servers, under_load

__all__ = ["servers"]  # fixtures

# What systemd does for nginx's unit.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{root}/log
case $* in
*is-active*) [ -e {root}/run/nginx.pid ] && kill -0 "$(cat {root}/run/nginx.pid)" ;;
"start nginx.service") nginx -c {root}/etc/nginx/nginx.conf ;;
"reload nginx.service") nginx -c {root}/etc/nginx/nginx.conf -s reload ;;
esac
"""


class Machine:
    """A machine's directories, and the script with its paths in them."""

    def __init__(self, root: Path) -> None:
        self.root, self.control = root, free_port()
        self.places = Places(f"{root}/run", f"{root}/etc/labgen/balancer/tls", f"{root}/var/log", self.control)
        wanted = ("etc/nginx", "etc/systemd/system/multi-user.target.wants", "run", "var/log/nginx", "bin")
        for directory in wanted:
            (root / directory).mkdir(parents=True)
        (root / "etc" / "nginx" / "nginx.conf").write_text("as Debian has it\n")
        (root / "bin" / "systemctl").write_text(SYSTEMCTL.format(root=root))
        (root / "bin" / "systemctl").chmod(0o755)
        text = (paths.guest_scripts() / BALANCER).read_text()
        for directory in ("/etc/", "/var/log/"):
            text = text.replace(directory, f"{root}{directory}")
        self.script = text.replace(":9909/", f":{self.control}/")

    @property
    def current(self) -> Path:
        return self.root / "etc" / "labgen" / "balancer" / "current"

    def run(self, *arguments: str, files: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", self.script, "sh", *arguments],
            input=balancing._archive(files or {}).decode("latin-1"),
            encoding="latin-1",
            capture_output=True,
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            check=False,
        )

    def site(self, *frontends: Frontend) -> Site:
        settings = Balancer("nginx", tuple(each.publish for each in frontends))
        return Site("lab", "balancer1", "127.0.0.1", "127.0.0.0/8", settings, frontends, places=self.places)

    def apply(self, rendered: Rendered) -> subprocess.CompletedProcess[str]:
        return self.run("nginx", rendered.version, files=dict(rendered.files))

    def log(self) -> list[str]:
        log = self.root / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if "is-active" not in line]


@pytest.fixture
def machine() -> Iterator[Machine]:
    if shutil.which("nginx") is None or os.geteuid():
        pytest.skip("needs nginx (make install) and root")
    with tempfile.TemporaryDirectory(prefix="labgen-test-") as path:
        Path(path).chmod(0o755)  # for nginx's workers
        machine = Machine(Path(path))
        yield machine
        pid = machine.root / "run" / "nginx.pid"
        if pid.exists():
            subprocess.run(["nginx", "-c", machine.root / "etc/nginx/nginx.conf", "-s", "stop"], check=True)
            for _ in range(100):
                if not pid.exists():
                    break
                subprocess.run(["sleep", "0.05"], check=True)


def test_a_first_configuration_starts_the_program_and_the_same_one_changes_nothing(
    machine: Machine, servers: list[Server]
) -> None:
    front = published(servers, users={"ann": "$6$x$y"})
    rendered = BALANCERS["nginx"].render(machine.site(front))
    first = machine.apply(rendered)
    assert (first.returncode, first.stdout) == (0, "changed\n"), first.stderr
    assert machine.log() == ["start nginx.service"]
    assert ask(front.publish.port).status == 401
    users = machine.current / "labgen" / f"users.{front.publish.port}"
    assert users.stat().st_mode & 0o777 == 0o640
    assert users.group() == "www-data"
    assert (machine.root / "etc/nginx/nginx.conf.debian").read_text() == "as Debian has it\n"
    assert (machine.root / "etc/systemd/system/multi-user.target.wants/nginx.service").is_symlink()
    again = machine.apply(rendered)
    assert (again.returncode, again.stdout, machine.log()) == (0, "", [])
    assert machine.run("nginx").stdout == f"{rendered.version}\n"


def test_another_configuration_is_read_without_a_lost_request(machine: Machine, servers: list[Server]) -> None:
    front = published(servers)
    other = published(servers[:1])
    other = Frontend(front.publish, other.pools)
    for each in (front, other):
        assert machine.apply(BALANCERS["nginx"].render(machine.site(each))).returncode == 0
    assert machine.log() == ["start nginx.service", "reload nginx.service"]
    with under_load(front.publish.port) as answers:
        for each in (front, other, front):
            assert machine.apply(BALANCERS["nginx"].render(machine.site(each))).stdout == "changed\n"
    assert set(answers) == {200}
    kept = {path.name for path in machine.current.parent.iterdir()}
    versions = {BALANCERS["nginx"].render(machine.site(each)).version for each in (front, other)}
    assert kept == {"current", *versions}  # the one in use, and the one before


def test_what_the_program_does_not_accept_is_not_used(machine: Machine, servers: list[Server]) -> None:
    front = published(servers)
    good = BALANCERS["nginx"].render(machine.site(front))
    assert machine.apply(good).returncode == 0
    broken = {"nginx.conf": good.files["nginx.conf"].replace("worker_processes auto", "worker_processes many")}
    refused = machine.run("nginx", "bad", files=broken)
    assert refused.returncode == balancing.REFUSED
    assert '"worker_processes" directive invalid value' in refused.stderr
    assert machine.current.readlink() == Path(good.version)
    assert ask(front.publish.port).status == 200
    assert [path.name for path in machine.current.parent.iterdir() if path.name.startswith("bad")] == []


def test_what_the_program_does_not_run_with_is_taken_back(machine: Machine, servers: list[Server]) -> None:
    """Another program has the port: the check does not find that, and a reload does not report it."""
    machine.script = machine.script.replace("limit=60", "limit=5")
    front = published(servers)
    good = BALANCERS["nginx"].render(machine.site(front))
    assert machine.apply(good).returncode == 0
    with socket.create_server(("0.0.0.0", 0)) as other:
        taken = published(servers, **{"port": other.getsockname()[1]})
        failed = machine.apply(BALANCERS["nginx"].render(machine.site(front, taken)))
    assert failed.returncode == balancing.ROLLED_BACK
    assert "Address already in use" in failed.stderr
    assert machine.current.readlink() == Path(good.version)
    assert ask(front.publish.port).status == 200
    assert machine.run("nginx").stdout == f"{good.version}\n"
    assert machine.apply(good).stdout == ""


@pytest.mark.parametrize("program", ["varnish", "nginx"])
def test_a_program_that_is_missing_is_named(program: str) -> None:
    text = (paths.guest_scripts() / BALANCER).read_text().replace("/usr/sbin/", "/nowhere/")
    result = subprocess.run(
        ["sh", "-c", text, "sh", program, "1"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 5
    assert program in result.stderr
