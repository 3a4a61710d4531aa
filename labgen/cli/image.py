"""``labgen image``: containers' images, and the labs that have them."""

from pathlib import Path

import click

from labgen.cli import complete, console
from labgen.cli.group import Group


@click.group(cls=Group)
def image() -> None:
    """Bring container images to the nodes of a lab.

    A lab needs no internet and no registry for that.
    """


@image.command()
@click.argument("lab", shell_complete=complete.labs)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--as", "called", metavar="NAME:TAG", help="Give the image this name, too.")
@click.option(
    "--node", "nodes", multiple=True, metavar="N", shell_complete=complete.nodes, help="Only node N; repeatable."
)
@console.format_option
def load(lab: str, file: Path, called: str | None, nodes: tuple[str, ...], form: str) -> None:
    """Load an image from a file on all nodes, in parallel.

    The file is one written by "docker save" or "podman save", compressed or not. Nodes that have the image are
    skipped.

    \b
    Examples:
      docker save app:1 -o app.tar
      labgen image load three-node-btrfs app.tar
      labgen image load three-node-btrfs app.tar --as shop:latest
      labgen image load three-node-btrfs app.tar --node worker1 --node worker2
    """
    from labgen.lab import image as recipe

    with console.progress() as shown:
        loaded = recipe.load(lab, file, called, nodes, shown)
    names = [name for each in loaded.images for name in each.names]
    rows = [
        {"node": node, "images": names if form == "json" else ", ".join(names), "result": outcome}
        for node, outcome in loaded.nodes.items()
    ]
    console.emit(rows, form, ["node", "images", "result"])
