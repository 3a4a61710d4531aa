"""balancer.sh itself, with the programs themselves, and the machine's directories in another place."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
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

# What systemd does for the programs' units.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{root}/log
pid={root}/run/{program}.pid
case $* in
*is-active*) [ -e "$pid" ] && kill -0 "$(cat "$pid")" ;;
"start nginx.service") nginx -c {root}/etc/nginx/nginx.conf ;;
"reload nginx.service") nginx -c {root}/etc/nginx/nginx.conf -s reload ;;
"start haproxy.service") haproxy -W -D -p "$pid" -f {root}/etc/haproxy/haproxy.cfg >/dev/null 2>&1 ;;
"reload haproxy.service") kill -USR2 "$(cat "$pid")" ;;
esac
"""
JOURNALCTL = "#!/bin/sh\necho 'the journal'\n"
WORDS = {"nginx": "Address already in use", "haproxy": "the journal"}
COMPLAINTS = {"nginx": '"worker_processes" directive invalid value', "haproxy": "unknown keyword 'many'"}


class Machine:
    """A machine's directories, and the script with its paths in them."""

    def __init__(self, root: Path, program: str) -> None:
        self.root, self.program, self.control = root, BALANCERS[program], free_port()
        self.places = Places(f"{root}/run", f"{root}/etc/labgen/balancer/tls", f"{root}/var/log", self.control)
        wanted = (f"etc/{program}", "etc/systemd/system/multi-user.target.wants", f"run/{program}")
        for directory in (*wanted, f"var/log/{program}", "bin"):
            (root / directory).mkdir(parents=True)
        self.own_file.write_text("as Debian has it\n")
        stand_ins = {"systemctl": SYSTEMCTL.format(root=root, program=program), "journalctl": JOURNALCTL}
        for name, text in stand_ins.items():
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        text = (paths.guest_scripts() / BALANCER).read_text()
        for directory in ("/etc/", "/var/log/", "/run/"):
            text = text.replace(directory, f"{root}{directory}")
        self.script = text.replace(":9909/", f":{self.control}/")

    @property
    def own_file(self) -> Path:
        return self.root / "etc" / self.program.name / self.program.main

    @property
    def current(self) -> Path:
        return self.root / "etc" / "labgen" / "balancer" / "current"

    def run(self, *arguments: str, files: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", self.script, "sh", self.program.name, *arguments],
            input=balancing._archive(files or {}).decode("latin-1"),
            encoding="latin-1",
            capture_output=True,
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            check=False,
        )

    def rendered(self, *frontends: Frontend) -> Rendered:
        settings = Balancer(self.program.name, tuple(each.publish for each in frontends))
        site = Site("lab", "balancer1", "127.0.0.1", "127.0.0.0/8", settings, frontends, places=self.places)
        return self.program.render(site)

    def apply(self, rendered: Rendered, *ports: str) -> subprocess.CompletedProcess[str]:
        return self.run(rendered.version, *ports, files=dict(rendered.files))

    def log(self) -> list[str]:
        """The changes that systemd was asked for, since the last call."""
        log = self.root / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if "is-active" not in line]

    def end(self) -> None:
        pid = self.root / "run" / f"{self.program.name}.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            number = int(pid.read_text())
            os.kill(number, signal.SIGTERM)
            for _ in range(200):
                os.kill(number, 0)
                time.sleep(0.05)


@pytest.fixture(params=["nginx", "haproxy"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    if not Path(f"/usr/sbin/{request.param}").exists() or os.geteuid() or not shutil.which("nc"):
        pytest.skip(f"needs {request.param} and nc (make tools), and root")
    with tempfile.TemporaryDirectory(prefix="labgen-test-") as path:
        Path(path).chmod(0o755)  # for programs that give up their rights
        machine = Machine(Path(path), request.param)
        yield machine
        machine.end()


def test_a_first_configuration_starts_the_program_and_the_same_one_changes_nothing(
    machine: Machine, servers: list[Server]
) -> None:
    name = machine.program.name
    front = published(servers, users={"ann": "$6$x$y"})
    rendered = machine.rendered(front)
    first = machine.apply(rendered)
    assert (first.returncode, first.stdout) == (0, "changed\n"), first.stderr
    assert machine.log() == [f"start {name}.service"]
    assert ask(front.publish.port).status == 401
    for file in rendered.files:  # with the hashes of passwords
        assert (machine.current / file).stat().st_mode & 0o777 == 0o640
        assert (machine.current / file).group() == ("www-data" if name == "nginx" else "root")
    assert machine.own_file.with_name(f"{machine.program.main}.debian").read_text() == "as Debian has it\n"
    assert (machine.root / f"etc/systemd/system/multi-user.target.wants/{name}.service").is_symlink()
    again = machine.apply(rendered)
    assert (again.returncode, again.stdout, machine.log()) == (0, "", [])
    assert machine.run().stdout == f"{rendered.version}\n"


def test_a_program_that_was_stopped_is_started_again(machine: Machine, servers: list[Server]) -> None:
    front = published(servers)
    rendered = machine.rendered(front)
    assert machine.apply(rendered).returncode == 0
    machine.end()
    machine.log()
    again = machine.apply(rendered)
    assert (again.returncode, again.stdout) == (0, "changed\n"), again.stderr
    assert machine.log() == [f"start {machine.program.name}.service"]
    assert ask(front.publish.port).status == 200


def test_another_configuration_is_read_without_a_lost_request(machine: Machine, servers: list[Server]) -> None:
    front = published(servers)
    other = Frontend(front.publish, published(servers[:1]).pools)
    for each in (front, other):
        assert machine.apply(machine.rendered(each)).returncode == 0
    assert [line.split()[0] for line in machine.log()] == ["start", "reload"]
    with under_load(front.publish.port) as answers:
        for each in (front, other, front):
            assert machine.apply(machine.rendered(each)).stdout == "changed\n"
    assert set(answers) == {200}
    kept = {path.name for path in machine.current.parent.iterdir()}
    assert kept == {"current", *(machine.rendered(each).version for each in (front, other))}  # and the one before


def test_what_the_program_does_not_accept_is_not_used(machine: Machine, servers: list[Server]) -> None:
    front = published(servers)
    good = machine.rendered(front)
    assert machine.apply(good).returncode == 0
    wrong = {"nginx": "worker_processes many;\nevents {}\n", "haproxy": "global\n    many\n"}
    refused = machine.run("bad", files={machine.program.main: wrong[machine.program.name]})
    assert refused.returncode == balancing.REFUSED
    assert COMPLAINTS[machine.program.name] in refused.stderr
    assert machine.current.readlink() == Path(good.version)
    assert ask(front.publish.port).status == 200
    assert [path.name for path in machine.current.parent.iterdir() if path.name.startswith("bad")] == []


def test_a_port_that_another_program_has_is_named_and_nothing_is_touched(
    machine: Machine, servers: list[Server]
) -> None:
    front = published(servers)
    assert machine.apply(machine.rendered(front)).returncode == 0
    machine.log()
    with socket.create_server(("0.0.0.0", free_port())) as other:
        port = other.getsockname()[1]
        taken = machine.rendered(front, published(servers, port=port))
        refused = machine.apply(taken, f"{front.publish.port}/tcp", f"{port}/tcp")
        assert refused.returncode == balancing.REFUSED
        assert f"port {port}/tcp is taken: " in refused.stderr
        assert machine.log() == []
    assert machine.apply(taken, f"{front.publish.port}/tcp", f"{port}/tcp").stdout == "changed\n"


def test_what_the_program_does_not_run_with_is_taken_back(machine: Machine, servers: list[Server]) -> None:
    """A check does not find that a port is taken, and a reload does not report it."""
    machine.script = machine.script.replace("limit=60", "limit=20")
    front = published(servers)
    good = machine.rendered(front)
    assert machine.apply(good).returncode == 0
    with socket.create_server(("0.0.0.0", free_port())) as other:
        taken = published(servers, port=other.getsockname()[1])
        failed = machine.apply(machine.rendered(front, taken))
    assert failed.returncode == balancing.ROLLED_BACK
    assert WORDS[machine.program.name] in failed.stderr
    assert machine.current.readlink() == Path(good.version)
    assert ask(front.publish.port).status == 200
    assert machine.apply(good).stdout == ""


@pytest.mark.parametrize("program", ["varnish", *BALANCERS])
def test_a_program_that_is_missing_is_named(program: str) -> None:
    text = (paths.guest_scripts() / BALANCER).read_text().replace("/usr/sbin/", "/nowhere/")
    result = subprocess.run(
        ["sh", "-c", text, "sh", program, "1"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 5
    assert program in result.stderr
