"""``labgen ssh``, ``ssh-config`` and ``inventory``."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import click

from labgen import paths
from labgen.cli import complete

lab_argument = click.argument("lab", shell_complete=complete.labs)
# ssh's options that take a value (ssh(1) of OpenSSH 9 and 10).
VALUED = frozenset("BbcDEeFIiJLlmOoPpQRSWw")


@dataclass(frozen=True)
class SshWords:
    """The words after LAB: ``[NODE] [SSH OPTIONS] [-- COMMAND]``. As in ssh, NODE may also follow the options."""

    node: str | None
    options: tuple[str, ...]
    command: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> "SshWords":
        first = words[0] if words and not words[0].startswith("-") else None
        start = 1 if first else 0
        end = start
        while end < len(words) and words[end].startswith("-") and words[end] != "--":
            end += 2 if _lacks_value(words[end]) else 1
        options, rest = tuple(words[start:end]), tuple(words[end:])
        if rest and first is None and rest[0] != "--":
            first, rest = rest[0], rest[1:]
        return cls(first, options, rest[1:] if rest[:1] == ("--",) else rest)

    @property
    def brings_a_key(self) -> bool:
        """Whether the options include a key, or a configuration that may specify one."""
        return any(each.startswith(("-i", "-F")) or "identityfile" in each.lower() for each in self.options)


def _lacks_value(word: str) -> bool:
    """Whether the value of this option, or of the last of these options (``-NL``), is the next word."""
    for position, letter in enumerate(word[1:], 1):
        if letter in VALUED:
            return position == len(word) - 1
    return False


@click.command(context_settings={"allow_interspersed_args": False})
@lab_argument
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[NODE] [SSH OPTIONS] [-- COMMAND]",
    shell_complete=complete.nodes,
)
@click.pass_context
def ssh(context: click.Context, lab: str, words: tuple[str, ...]) -> None:
    """Log in to a node; default: the first manager.

    Options and COMMAND are passed to ssh; the node's shell runs COMMAND.

    \b
    Examples:
      labgen ssh three-node-btrfs
      labgen ssh three-node-btrfs worker2
      labgen ssh three-node-btrfs -- hostname
      labgen ssh three-node-btrfs manager1 -t -- sudo vi /etc/hosts
      labgen ssh three-node-btrfs -N -L 8080:localhost:80
    """
    if words[:1] in {("-h",), ("--help",)}:
        click.echo(context.get_help())
        return
    from labgen import clients
    from labgen.errors import HostError, UsageError
    from labgen.machines.access import find_node, why_off
    from labgen.records import journals
    from labgen.ssh import require_key

    given = SshWords.of(words)
    planned = journals.load(lab).lab
    try:
        node = find_node(planned, given.node) if given.node else planned.nodes[0]
    except UsageError as error:
        raise UsageError(error.brief, error.details, f"A command: labgen ssh {lab} -- {given.node} ...") from error
    with contextlib.suppress(HostError):  # ssh may work even if libvirt does not
        if reason := why_off(planned, node):
            raise reason
    if not given.brings_a_key:
        require_key(paths.lab(lab) / paths.KEY, node.name)
    # Not the lab's ssh_config: one from an earlier version has other names. If an option is repeated, ssh uses the
    # first value.
    ours = [part for option in clients.ssh_options(node, paths.lab(lab)).items() for part in ("-o", "=".join(option))]
    command = ["--", *given.command] if given.command else []
    arguments = ["ssh", "-F", "none", *given.options, *ours, clients.alias(planned, node), *command]
    try:
        os.execvp("ssh", arguments)  # noqa: S606 - ssh takes over the user's terminal
    except FileNotFoundError as error:
        raise HostError("ssh is missing", resolution="Install openssh-client.") from error


@click.command("ssh-config")
@lab_argument
@click.option("--short", is_flag=True, help="Also the nodes' bare names, which are the same in many labs.")
def ssh_config(lab: str, short: bool) -> None:
    """Print the lab as a section of ~/.ssh/config.

    It names the nodes NODE.LAB. With this line before the first "Host" in
    ~/.ssh/config, ssh, scp and rsync reach the nodes of all labs:

    \b
      Include ~/.local/share/labgen/labs/*/ssh_config

    \b
    Examples:
      ssh worker1.three-node-btrfs
      labgen ssh-config three-node-btrfs --short > lab.conf
      ssh -F lab.conf worker1
    """
    from labgen import clients
    from labgen.records import journals

    click.echo(clients.ssh_config(journals.load(lab).lab, paths.lab(lab), short=short), nl=False)


@click.command()
@lab_argument
def inventory(lab: str) -> None:
    """Print the lab as an Ansible inventory.

    \b
    Example:
      labgen inventory three-node-btrfs > hosts.ini
      ansible -i hosts.ini all -m ping
    """
    from labgen import clients
    from labgen.records import journals

    click.echo(clients.inventory(journals.load(lab).lab, paths.lab(lab)), nl=False)
