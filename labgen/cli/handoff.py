"""``labgen export`` and ``labgen import``."""

from pathlib import Path
from typing import Literal

import click

from labgen.cli import complete, console


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write (default: LAB.labgen)."
)
@click.option(
    "--depth",
    type=click.Choice(["recipe", "disks", "running"]),
    default="disks",
    show_default=True,
    help="recipe: profile and scripts only, a few kilobytes. disks: also the machines' disks. "
    "running: also their memory.",
)
@click.option("--exclude-box", is_flag=True, help="Leave out the box's image, for recipients who have that box.")
@click.option("--with-secrets", is_flag=True, help="Include the lab's private key, but not the join tokens.")
@click.option("--sign", type=click.Path(path_type=Path, exists=True), metavar="KEY", help="Sign with an OpenSSH key.")
def export(  # noqa: PLR0917 - click names them
    lab: str,
    output: Path | None,
    depth: Literal["recipe", "disks", "running"],
    exclude_box: bool,
    with_secrets: bool,
    sign: Path | None,
) -> None:
    """Write a lab to one file, for another host.

    The other host does not need labgen.

    A running lab is paused briefly for its disks and, at the depth "running", while its memory is saved.

    \b
    Examples:
      labgen export three-node-btrfs
      labgen export three-node-btrfs --depth recipe -o for-anna.labgen
      labgen export three-node-btrfs --depth running
      labgen export three-node-btrfs --exclude-box --sign ~/.ssh/id_ed25519
    """
    from labgen.lab.export import export as recipe

    file = output or Path(f"{lab}.labgen")
    with console.progress() as shown:
        exported = recipe(lab, file, depth, shown, with_box=not exclude_box, with_secrets=with_secrets, sign=sign)
    if exported.paused is not None:
        console.note(f"The machines were paused for {exported.paused:.1f} s.")
    click.echo(f"{file}: {_size(exported.size)}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", metavar="NAME", help="Name of the lab (default: its name in the bundle).")
@click.option(
    "--verify",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="ALLOWED_SIGNERS",
    help="Refuse a bundle that none of these signers signed (a file in the format of ssh-keygen(1)).",
)
def import_command(file: Path, name: str | None, verify: Path | None) -> None:
    """Import a lab from a file written by "labgen export".

    Then boot it with "labgen start".

    \b
    Examples:
      labgen import three-node-btrfs.labgen
      labgen import three-node-btrfs.labgen --name second
      labgen import for-anna.labgen --verify ~/.ssh/allowed_signers
    """
    from labgen.lab.import_ import receive
    from labgen.orchestrators import ORCHESTRATORS

    with console.progress() as shown:
        imported = receive(file, name, verify, shown)
    lab = imported.journal.lab
    console.note(f"Signed by {imported.signed_by}." if imported.signed_by else "This bundle is not signed.")
    if imported.with_key:
        console.note("It includes the lab's private key: anyone who has the bundle can log in to the machines.")
    if imported.readdressed:
        console.note(f"Its addresses are in use here; the lab gets {lab.network.subnet}.")
        if imported.journal.complete and (outcome := ORCHESTRATORS[lab.orchestrator].when_moved):
            console.note(f"At its first start, {outcome}.")
    if imported.without_memory:
        console.note(f"Its machines cannot be resumed from memory here: {imported.without_memory}.")
        console.note("They will boot from their disks.")
    nodes = console.counted(len(lab.nodes), "node")
    click.echo(f"imported {lab.name}: {nodes}, box {lab.box.name} {lab.box.version}")
    click.echo(f"Boot it: labgen start {lab.name}")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
