"""A user with every kind of odd surroundings at once, from create to destroy, and as a bundle.

The home has blanks, quotes and umlauts in its name and is closed to all other users, including QEMU's; others
cannot read anything created there; Vagrant's home has settings that would spoil every lab.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm.conftest import LABGEN, names, virsh

pytestmark = pytest.mark.slow

LAB = "odd"
HOSTILE = """
File.write(File.join(__dir__, 'evaluated'), '')
Vagrant.configure('2') do |config|
  config.vm.synced_folder '/nonexistent', '/mnt'
  config.vm.provision 'shell', inline: 'touch /spoilt'
  config.vm.provider :libvirt do |libvirt|
    libvirt.memory = 300
    libvirt.qemu_use_session = true
    libvirt.uri = 'qemu:///session'
  end
end
"""


@dataclass(frozen=True)
class User:
    home: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, **variables: str) -> str:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={**self.environment, **variables},
            umask=0o077,
            check=False,
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        assert ran.returncode == 0, f"{command}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def labgen(self, *arguments: str | Path) -> str:
        return self.run(*LABGEN, *arguments)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    test_home = Path(os.environ["LABGEN_HOME"])
    home = test_home / "it's a home ä #1 100%h $x & <b>"
    shutil.rmtree(home, ignore_errors=True)
    temporary = home / ("long" * 40)
    temporary.mkdir(parents=True)
    home.chmod(0o700)
    settings = home / ".vagrant.d" / "Vagrantfile"
    settings.parent.mkdir()
    settings.write_text(HOSTILE)
    take_boxes(test_home / "cache" / "boxes", home / ".cache" / "labgen" / "boxes")
    dropped = {"LABGEN_HOME", "VAGRANT_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    yield User(home, {**kept, "HOME": str(home), "TMPDIR": str(temporary), "LC_ALL": "C"})
    shutil.rmtree(home)


def take_boxes(source: Path, target: Path) -> None:
    """Avoids building a box again: its files are the same, and its catalogue has their new location."""
    shutil.copytree(source, target, copy_function=os.link)
    for catalog in target.glob("*/*/catalog.json"):
        text = catalog.read_text().replace(source.as_uri(), target.as_uri())
        catalog.unlink()
        catalog.write_text(text)


@pytest.fixture
def destroyed(user: User) -> Iterator[None]:
    yield
    user.labgen("destroy", LAB, "--yes")
    assert not {name for name in names("list", "--all") if f"_{LAB}_" in name}


def require_sound(user: User) -> None:
    """The lab matches its profile, and only its owner can access it."""
    domain = next(name for name in names("list") if f"_{LAB}_" in name)
    assert virsh("dominfo", domain).split("Max memory:")[1].split()[0] == str(1024 * 1024)
    qemu = int(Path(f"/run/libvirt/qemu/{domain}.pid").read_text())
    assert Path(f"/proc/{qemu}").stat().st_uid != user.home.stat().st_uid
    found = json.loads(user.labgen("status", LAB, "--check", "--format", "json"))
    assert [node["storage_driver"] for node in found["nodes"]] == ["overlay2"]
    assert user.labgen("exec", LAB, "--", "ls", "/mnt") == ""
    assert user.labgen("exec", LAB, "--", "sh", "-c", "ls /spoilt || echo not there") == "not there\n"
    assert not (user.home / ".vagrant.d" / "evaluated").exists()
    assert user.home.stat().st_mode & 0o777 == 0o700


def require_entered(user: User, tmp_path: Path) -> None:
    config, inventory = tmp_path / "ssh_config", tmp_path / "hosts.ini"
    config.write_text(user.labgen("ssh-config", LAB))
    inventory.write_text(user.labgen("inventory", LAB))
    assert user.run("ssh", "-F", config, f"manager1.{LAB}", "hostname") == "manager1\n"
    assert user.labgen("ssh", LAB, "--", "hostname") == "manager1\n"
    # Ansible does not work in any other locale, and puts ssh's sockets into its user's home.
    ansible = {"LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "ANSIBLE_TIMEOUT": "60"}
    ping = [Path(sys.executable).with_name("ansible"), "-i", inventory, "all", "-m", "ping"]
    assert "SUCCESS" in user.run(*ping, **ansible)


@pytest.mark.usefixtures("destroyed")
def test_a_lab_is_made_cold(user: User, tmp_path: Path) -> None:
    user.labgen("create", "single-node", "--name", LAB)
    console = user.home / ".local" / "share" / "labgen" / "labs" / LAB / "logs" / "manager1.console.log"
    assert console.stat().st_size > 0
    require_sound(user)
    require_entered(user, tmp_path)


@pytest.mark.usefixtures("destroyed")
def test_a_lab_is_made_from_what_was_kept(user: User) -> None:
    assert list((user.home / ".cache" / "labgen" / "templates").glob("*/template.json"))
    user.labgen("create", "single-node", "--name", LAB)
    require_sound(user)
    user.labgen("stop", LAB)
    user.labgen("start", LAB)
    user.labgen("checkpoint", "save", LAB, "before")
    user.labgen("checkpoint", "restore", LAB, "before", "--yes")
    require_sound(user)
    user.labgen("export", LAB, "-o", user.home / "it's.labgen")


@pytest.mark.usefixtures("destroyed")
def test_a_bundle_is_imported(user: User) -> None:
    user.labgen("import", user.home / "it's.labgen", "--name", LAB)
    user.labgen("start", LAB)
    require_sound(user)
