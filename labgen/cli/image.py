"""``labgen image``: containers' images, and the labs that have them."""

import click

from labgen.cli import complete, console
from labgen.cli.group import Group


@click.group(cls=Group)
def image() -> None:
    """Build container images and bring them to the nodes of a lab.

    A lab needs no internet and no registry for that.
    """


@image.command("list")
@click.argument("lab", required=False, shell_complete=complete.labs)
@console.format_option
def list_images(lab: str | None, form: str) -> None:
    """List the images that labgen builds, or those that a lab has.

    An image is "outdated" when its recipe has changed since; the next use builds it again.

    \b
    Examples:
      labgen image list
      labgen image list three-node-btrfs
      labgen image list three-node-btrfs --format json
    """
    if lab:
        _list_those_of(lab, form)
    else:
        from labgen import images

        rows = [{**row, "size": _megabytes(row.get("size"))} if form == "table" else row for row in images.listing()]
        console.emit(rows, form, ["name", "image", "state", "size", "built"])


def _list_those_of(lab: str, form: str) -> None:
    from labgen.lab import image as recipe

    with console.progress() as shown:
        found = recipe.listing(lab, shown)
    if form == "json":
        rows = [
            {"id": held.id, "images": list(held.names), "size": held.size, "nodes": list(held.nodes)}
            for held in found
        ]
    else:
        rows = [
            {
                "image": ", ".join(held.names) or "<none>",
                "id": held.id.removeprefix("sha256:")[:12],
                "size": _megabytes(held.size),
                "nodes": ", ".join(held.nodes),
            }
            for held in found
        ]
    console.emit(rows, form, ["image", "id", "size", "nodes"])


@image.command()
@click.argument("name", shell_complete=complete.images)
@console.format_option
def build(name: str, form: str) -> None:
    """Build an image from Debian's current packages, without Docker.

    If the content is that of the existing image, that image is kept.

    \b
    Examples:
      labgen image build hello
      labgen image build hello --format json
    """
    from labgen import images

    with console.progress() as shown:
        built = images.build(name, shown)
        shown.done(f"image {built.reference} is ready")
    row = {"name": name, "image": built.reference, "id": built.id, "file": str(built.archive)}
    console.emit([row], form, ["name", "image", "file"])


@image.command()
@click.argument("lab", shell_complete=complete.labs)
@click.argument("source", metavar="IMAGE|FILE", shell_complete=complete.images_and_files)
@click.option("--as", "called", metavar="NAME:TAG", help="Give the image this name, too.")
@click.option(
    "--node", "nodes", multiple=True, metavar="N", shell_complete=complete.nodes, help="Only node N; repeatable."
)
@console.format_option
def load(lab: str, source: str, called: str | None, nodes: tuple[str, ...], form: str) -> None:
    """Load an image on all nodes, in parallel.

    IMAGE is one that labgen builds ("labgen image list"), FILE one written by "docker save" or "podman save",
    compressed or not. Nodes that have the image are skipped.

    \b
    Examples:
      labgen image load three-node-btrfs hello
      docker save app:1 -o app.tar
      labgen image load three-node-btrfs app.tar
      labgen image load three-node-btrfs app.tar --as shop:latest
      labgen image load three-node-btrfs app.tar --node worker1 --node worker2
    """
    from labgen.lab import image as recipe

    with console.progress() as shown:
        loaded = recipe.load(lab, source, called, nodes, shown)
    names = [name for each in loaded.images for name in each.names]
    rows = [
        {"node": node, "images": names if form == "json" else ", ".join(names), "result": outcome}
        for node, outcome in loaded.nodes.items()
    ]
    console.emit(rows, form, ["node", "images", "result"])


def _megabytes(size: object) -> str | None:
    return f"{size / 2**20:.0f} MiB" if isinstance(size, int) else None
