"""The files that tell OpenSSH and Ansible about a lab, as read by these programs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labgen import clients, paths
from labgen.model import GUEST_USER
from labgen.records import journals
from labgen.records.journals import Journal
from tests.unit.commands import Run, run
from tests.unit.labs import planned

__all__ = ["run"]  # a fixture

LAB = planned(reference="single-node")
# Every character with a meaning for a shell, OpenSSH, INI files or Ansible that may be in a path.
ODD = ["it's a home ä", "a#b #c", "%h%%d", "$HOME $$", "a;b|c", "`id`", "a&b <c>", "~*!", " =,:@^+ ", "{} }}", "𝄞"]


def as_openssh_reads(*arguments: str | Path) -> dict[str, str]:
    """The settings by name, with tokens that OpenSSH has not replaced yet."""
    command = ["ssh", *arguments, "-G"]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


def keys_tried(*arguments: str | Path) -> list[str]:
    command = ["ssh", *arguments, "-G"]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    return [line.removeprefix("identityfile ") for line in said.splitlines() if line.startswith("identityfile ")]


@pytest.mark.parametrize("name", ODD)
def test_openssh_finds_the_files_in_any_home(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name / "labs" / "lab"
    config = tmp_path / "config"
    config.write_text(clients.ssh_config(LAB, directory))
    options = [
        part for each in clients.ssh_options(LAB.nodes[0], directory).items() for part in ("-o", "=".join(each))
    ]
    for read in (
        as_openssh_reads("-F", config, "manager1.lab"),
        as_openssh_reads("-F", "none", *options, "manager1"),
    ):
        assert read["identityfile"].replace("%%", "%") == str(directory / paths.KEY)
        assert read["userknownhostsfile"].replace("%%", "%") == str(directory / paths.KNOWN_HOSTS).replace("%%", "%")


def test_short_names_of_two_labs_in_one_file_leave_both_labs_their_nodes(run: Run, tmp_path: Path) -> None:
    """The long names work as in two files; a short name that both labs have is the first lab's."""
    one, two = planned("one", subnet="10.77.0.0/24"), planned("two", subnet="10.77.1.0/24")
    config = tmp_path / "both.conf"
    with config.open("w") as file:
        for lab in (one, two):
            journals.save(Journal(lab, "verified"))
            file.write(run("ssh-config", lab.name, "--short").stdout)
    for lab, name in ((one, "{}.one"), (two, "{}.two"), (one, "{}")):
        for node in lab.nodes:
            read = as_openssh_reads("-F", config, name.format(node.name))
            assert (read["hostname"], read["user"]) == (node.address, GUEST_USER)
            assert read["userknownhostsfile"] == str(paths.lab(lab.name) / paths.KNOWN_HOSTS)
            assert keys_tried("-F", config, name.format(node.name))[0] == str(paths.lab(lab.name) / paths.KEY)
    for lab in (one, two):
        for node in lab.nodes:
            assert len(keys_tried("-F", config, clients.alias(lab, node))) == 1


def test_nodes_have_no_bare_names_unless_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "lab.conf"
    config.write_text(clients.ssh_config(LAB, tmp_path))
    assert as_openssh_reads("-F", config, "manager1")["hostname"] == "manager1"


def test_ansible_hands_the_files_on_from_any_home(tmp_path: Path) -> None:
    """A stand-in for ssh records its arguments; the real one is in tests/vm."""
    directory = tmp_path.joinpath(*ODD) / "labs" / "lab"
    inventory, told, ssh = tmp_path / "hosts.ini", tmp_path / "told", tmp_path / "ssh"
    inventory.write_text(clients.inventory(LAB, directory))
    ssh.write_text(f"#!/bin/sh\nfor each; do printf '%s\\n' \"$each\"; done >>'{told}'\nexit 255\n")
    ssh.chmod(0o755)
    subprocess.run(
        [Path(sys.executable).with_name("ansible"), "-i", inventory, "all", "-m", "raw", "-a", "true"],
        env={**os.environ, "HOME": str(tmp_path), "ANSIBLE_SSH_EXECUTABLE": str(ssh), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    options = clients.ssh_options(LAB.nodes[0], directory)
    wanted = {f"{name}={options[name]}" for name in ("IdentityFile", "UserKnownHostsFile")}
    assert wanted <= set(told.read_text().splitlines())
