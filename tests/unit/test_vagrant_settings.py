"""What a user's own Vagrantfile would change in a lab: the file is read, never run."""

from pathlib import Path

import pytest

from labgen import paths
from labgen.host import LOCAL
from labgen.machines import trial
from labgen.vagrant_settings import Settings, read

OWN = """
# config.vm.synced_folder 'in a comment', '/mnt'
ENV['VAGRANT_DEFAULT_PROVIDER'] ||= 'virtualbox'
Vagrant.configure("2") do |config|
  config.vm.box_check_update = true   # config.vm.hostname = 'in a comment'
  config.vm.synced_folder "~/src#{1}", "/src", type: "nfs"
  config.vm.provision :shell, inline: "apt-get update"
  config.vm.boot_timeout == 5 and raise
  config.ssh.forward_agent = true
  config.vm.provider "virtualbox" do |v|
    v.gui = true
  end
  config.vm.provider :libvirt do |v, override|
    v.memory = 512
    v.qemu_use_session = true
    v.nested = true
    v.storage :file, size: '10G'
    override.vm.network :public_network
  end
end
"""


def test_the_settings_of_any_provider_and_of_libvirt_are_read() -> None:
    assert read(OWN) == Settings(
        added=frozenset(
            {
                "ENV['VAGRANT_DEFAULT_PROVIDER']",
                "vm.synced_folder",
                "vm.provision",
                "libvirt.storage",
                "vm.network",
            }
        ),
        assigned=frozenset(
            {
                "vm.box_check_update",
                "ssh.forward_agent",
                "libvirt.memory",
                "libvirt.qemu_use_session",
                "libvirt.nested",
            }
        ),
    )


def test_what_is_no_ruby_has_no_settings() -> None:
    assert read("\0\ufffd|||.provider :libvirt do |\nENV[") == Settings(frozenset(), frozenset())


def test_the_lab_assigns_what_would_move_or_shrink_it() -> None:
    """So that it overrides a user's own values."""
    labs = read(paths.vagrantfile_template().read_text()).assigned
    assert {"libvirt.uri", "libvirt.qemu_use_session", "libvirt.memory", "libvirt.cpus", "vm.box"} <= labs
    assert {"ssh.username", "ssh.insert_key", "libvirt.storage_pool_name", "libvirt.default_prefix"} <= labs


def test_doctor_says_what_would_take_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "vagrant"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'vagrant-libvirt (0.11.2, system)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    own = paths.vagrant_home() / "Vagrantfile"
    assert trial.vagrant(LOCAL).evidence == "vagrant-libvirt (0.11.2, system) takes a lab's Vagrantfile"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(OWN)
    found = trial.vagrant(LOCAL)
    assert found.status == "ok"
    _, aside, effect, overruled = found.evidence.split("; ")
    assert aside == f"labgen ignores {own}, plain vagrant in a lab's directory does not"
    assert effect == (
        "takes effect there: ENV['VAGRANT_DEFAULT_PROVIDER'], libvirt.nested, libvirt.storage, ssh.forward_agent,"
        " vm.network, vm.provision, vm.synced_folder"
    )
    assert overruled == "overridden by the lab: libvirt.memory, libvirt.qemu_use_session, vm.box_check_update"
    own.unlink()
    own.mkdir()
    assert trial.vagrant(LOCAL).evidence.endswith(f"{own} cannot be read: Is a directory")
