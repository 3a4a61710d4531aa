"""Describes a lab to other programs: OpenSSH and Ansible. Pure."""

import shlex
from pathlib import Path

from labgen import paths
from labgen.model import GUEST_USER, Lab, Node


def alias(lab: Lab, node: Node) -> str:
    """A node's name for plain ssh. It includes the lab's name because many labs have a ``manager1``."""
    return f"{node.name}.{lab.name}"


def ssh_options(node: Node, directory: Path) -> dict[str, str]:
    """The ``ssh_config`` options with which OpenSSH logs in to a node.

    :param directory: the lab's directory, absolute.
    """
    return {
        "HostName": node.address,
        "User": GUEST_USER,
        **_keys(directory),
        "LogLevel": "ERROR",
    }


def ssh_config(lab: Lab, directory: Path, *, short: bool = False) -> str:
    """The lab as an OpenSSH configuration file.

    :param short: include the nodes' bare names, which are the same in many labs.
    """
    every_lab = _path(directory.parent / "*" / paths.SSH_CONFIG)
    sections = [f"# For all labs, before the first Host in ~/.ssh/config: Include {every_lab}\n"]
    for node in lab.nodes:
        lines = [f"Host {alias(lab, node)}{f' {node.name}' if short else ''}"]
        lines += [f"  {name} {value}" for name, value in ssh_options(node, directory).items()]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def inventory(lab: Lab, directory: Path) -> str:
    """The lab as an Ansible inventory: a group for each role, and for each kind of machine without a role."""
    lines = []
    for group in dict.fromkeys(_group(node) for node in lab.nodes):
        members = [node for node in lab.nodes if _group(node) == group]
        lines += [f"[{group}]", *(f"{node.name} ansible_host={node.address}" for node in members), ""]
    # OpenSSH's options for everything: Ansible's option for the key file cannot express every path.
    arguments = [part for name, value in _keys(directory).items() for part in ("-o", f"{name}={value}")]
    lines += [
        "[all:vars]",
        f"ansible_user={GUEST_USER}",
        "ansible_python_interpreter=/usr/bin/python3",
        # Ansible parses this value as a Python literal if it is one.
        f"ansible_ssh_common_args={shlex.join(arguments)!r}",
    ]
    return "\n".join(lines) + "\n"


def _group(node: Node) -> str:
    return f"{node.role}s" if node.role else node.kind


def _keys(directory: Path) -> dict[str, str]:
    """Only the lab's own key: an agent with many keys would use up the login attempts that the machine allows."""
    return {
        "IdentityFile": _path(directory / paths.KEY),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _path(directory / paths.KNOWN_HOSTS),
        "StrictHostKeyChecking": "accept-new",
    }


def _path(path: Path) -> str:
    """Quoted for OpenSSH: quotes protect blanks, and a percent sign would start a token."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
