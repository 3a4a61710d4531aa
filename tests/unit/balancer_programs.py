"""The balancers' programs themselves, as ``balancer.sh`` runs them, with what labgen renders."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen.balancers import BALANCERS, Frontend, Site
from labgen.balancers.base import Places
from labgen.model import Balancer
from tests.unit.backends import ask, free_port


class Running(ABC):
    """A program with a site that can be changed.

    :ivar directory: of its files, and everything else that it writes.
    """

    name: str

    def __init__(self, directory: Path) -> None:
        self.directory, self.program = directory, BALANCERS[self.name]
        self.process: subprocess.Popen[bytes] | None = None
        self.places = Places(str(directory), str(directory / "tls"), str(directory), free_port())
        (directory / self.name).mkdir()

    def site(self, *frontends: Frontend, statistics: int = 0) -> Site:
        settings = Balancer(self.name, tuple(each.publish for each in frontends), statistics)
        return Site("lab", "balancer1", "127.0.0.1", "127.0.0.0/8", settings, frontends, places=self.places)

    def apply(self, site: Site) -> None:
        """Written, checked, and read by the running program; returns when only the new configuration is in use."""
        rendered = self.program.render(site)
        for name, text in rendered.files.items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(text)
        main = str(self.directory / self.program.main)
        self.check(main)
        if self.process is None:
            self.process = self.start(main)
        else:
            self.reload(main)
        deadline = time.monotonic() + 20
        # The former processes may answer for a tenth of a second.
        while {self.version() for _ in range(20) if not time.sleep(0.01)} != {rendered.version}:
            assert time.monotonic() < deadline
            assert self.process.poll() is None

    def health(self, site: Site) -> dict[str, str]:
        asked = ["sh", "-c", self.program.question(site)]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        return {each.backend: each.state for each in self.program.health(site, told)}

    @abstractmethod
    def check(self, main: str) -> None: ...

    @abstractmethod
    def start(self, main: str) -> "subprocess.Popen[bytes]": ...

    @abstractmethod
    def reload(self, main: str) -> None: ...

    @abstractmethod
    def version(self) -> str: ...


class RunningNginx(Running):
    name = "nginx"

    def check(self, main: str) -> None:
        subprocess.run(["nginx", "-t", "-q", "-c", main], check=True)

    def start(self, main: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["nginx", "-c", main, "-g", "daemon off;"])

    def reload(self, main: str) -> None:
        subprocess.run(["nginx", "-c", main, "-s", "reload"], check=True)

    def version(self) -> str:
        with contextlib.suppress(OSError):
            return ask(self.places.control, "/version").body.decode().strip()
        return ""


class RunningHaproxy(Running):
    name = "haproxy"

    def check(self, main: str) -> None:
        checked = subprocess.run(["haproxy", "-c", "-f", main], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "WARNING" not in checked.stderr

    def start(self, main: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["haproxy", "-W", "-f", main], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def reload(self, main: str) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGUSR2)

    def version(self) -> str:
        asked = f'echo "show info" | nc -U -w 5 {self.directory}/haproxy/admin.sock'
        told = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False).stdout
        lines = (line.partition(": ") for line in told.splitlines())
        return next((value for name, _, value in lines if name.lower() == "description"), "")


@contextlib.contextmanager
def running(kind: type[Running]) -> Iterator[Running]:
    if shutil.which(kind.name) is None and not Path(f"/usr/sbin/{kind.name}").exists():
        pytest.skip(f"needs {kind.name}: make tools")
    with tempfile.TemporaryDirectory(prefix="labgen-test-") as path:
        directory = Path(path)
        directory.chmod(0o755)  # for programs that give up their rights
        program = kind(directory)
        yield program
        if program.process:
            program.process.terminate()
            program.process.wait(20)


@pytest.fixture
def nginx() -> Iterator[Running]:
    with running(RunningNginx) as found:
        yield found


@pytest.fixture
def haproxy() -> Iterator[Running]:
    with running(RunningHaproxy) as found:
        yield found


@pytest.fixture(params=[RunningNginx, RunningHaproxy], ids=lambda kind: kind.name)
def web(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each program that reads http."""
    with running(request.param) as found:
        yield found
