"""``labgen rebuild``"""

import click

from labgen.cli import complete, console


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.argument("node", shell_complete=complete.nodes)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def rebuild(lab: str, node: str, yes: bool) -> None:
    """Replace one node of a lab; everything on it is lost.

    For a node whose disk is missing or broken; the other nodes are not changed. If only its machine was removed from
    libvirt and its disks still exist, the machine is defined again and nothing is lost.

    \b
    Examples:
      labgen rebuild three-node-btrfs worker1
      labgen rebuild three-node-btrfs worker1 --yes
    """
    from labgen.lab import rebuild as recipe

    if lost := recipe.losses(lab, node):
        console.note(f"Rebuilding {node} removes:\n" + "\n".join(f"  {each}" for each in lost))
        if not yes:
            console.confirm(f"Rebuild {node} of {lab}?")
    with console.progress() as shown:
        recipe.rebuild(lab, node, lost, shown)
    click.echo(f"{node} of {lab} is rebuilt" if lost else f"{node} of {lab} is defined again, with its disks")
