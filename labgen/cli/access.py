"""``labgen ssh``, ``exec``, ``ssh-config`` and ``inventory``."""

import os

import click

from labgen import paths
from labgen.cli import complete

lab_argument = click.argument("lab", shell_complete=complete.labs)


@click.command(context_settings={"ignore_unknown_options": True})
@lab_argument
@click.argument("node", required=False, shell_complete=complete.nodes)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(lab: str, node: str | None, command: tuple[str, ...]) -> None:
    """Enter a node; without NODE the first manager.

    What follows the node goes to ssh: a command, for example.

    \b
    Examples:
      labgen ssh three-node-btrfs
      labgen ssh three-node-btrfs worker2
      labgen ssh three-node-btrfs manager1 docker node ls
    """
    from labgen import state
    from labgen.errors import HostError
    from labgen.lab.access import find_node

    planned = state.load(lab).lab
    chosen = find_node(planned, node) if node else planned.nodes[0]
    arguments = ["ssh", "-F", str(paths.lab(lab) / paths.SSH_CONFIG), chosen.name, *command]
    try:
        os.execvp("ssh", arguments)  # noqa: S606 - the user's terminal becomes ssh's
    except FileNotFoundError as error:
        raise HostError("ssh is missing", resolution="Install openssh-client.") from error


@click.command("exec", context_settings={"ignore_unknown_options": True})
@lab_argument
@click.option("--node", "nodes", multiple=True, metavar="N", shell_complete=complete.nodes, help="Repeatable.")
@click.option("--all", "everywhere", is_flag=True, help="On all nodes; the default without --node.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_command(
    context: click.Context, lab: str, nodes: tuple[str, ...], everywhere: bool, command: tuple[str, ...]
) -> None:
    """Run a command on nodes, in parallel.

    Each line of output is preceded by its node's name, if there are several. The exit code is the highest.

    \b
    Examples:
      labgen exec three-node-btrfs -- docker info -f '{{.Driver}}'
      labgen exec three-node-btrfs --node manager1 -- docker node ls
      labgen exec three-node-btrfs -- sh -c 'df -h | grep docker'
    """
    from labgen.lab.access import run

    if nodes and everywhere:
        raise click.UsageError("--node and --all exclude each other")
    label = len(nodes) != 1

    def show(node: str, line: str, err: bool = False) -> None:
        click.echo(f"{node}: {line}" if label else line, err=err)

    results = run(lab, nodes, command, show)
    for node, result in results.items():
        for line in result.stderr.splitlines():
            show(node, line, err=True)
    context.exit(max(result.status for result in results.values()))


@click.command("ssh-config")
@lab_argument
def ssh_config(lab: str) -> None:
    """Print the lab's section for ~/.ssh/config.

    \b
    Examples:
      labgen ssh-config three-node-btrfs >> ~/.ssh/config
      labgen ssh-config three-node-btrfs > lab.ssh
      ssh -F lab.ssh worker1
    """
    from labgen import render, state

    click.echo(render.ssh_config(state.load(lab).lab, paths.lab(lab)), nl=False)


@click.command()
@lab_argument
def inventory(lab: str) -> None:
    """Print the lab as an Ansible inventory.

    \b
    Example:
      labgen inventory three-node-btrfs > hosts.ini
      ansible -i hosts.ini all -m ping
    """
    from labgen import render, state

    click.echo(render.inventory(state.load(lab).lab, paths.lab(lab)), nl=False)
