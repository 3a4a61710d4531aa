"""``labgen destroy`` and ``labgen prune``."""

import click

from labgen.cli import complete, console

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("lab", nargs=-1, shell_complete=complete.labs)
@click.option("--all", "everything", is_flag=True, help="Destroy all labs of this user.")
@yes_option
def destroy(lab: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Remove labs without a trace: machines, disks, network, keys and records.

    \b
    Examples:
      labgen destroy three-node-btrfs
      labgen destroy first second --yes
      labgen destroy --all --yes
    """
    from labgen import state
    from labgen.lab.destroy import destroy as remove

    if bool(lab) == everything:
        raise click.UsageError("name the labs to destroy, or say --all")
    names = state.names() if everything else list(lab)
    if not names:
        click.echo("there are no labs", err=True)
        return
    if not yes:
        click.confirm(f"Destroy {', '.join(names)} with everything in them?", abort=True, err=True)
    with console.progress() as shown:
        for name in names:
            shown.step(f"destroying {name}")
            remove(name)
            shown.done(f"destroyed {name}")
    for name in names:
        click.echo(f"{name} is gone")


@click.command()
@click.option("--cache", is_flag=True, help="Also the templates that make the next create of a profile short.")
@yes_option
@console.format_option
def prune(cache: bool, yes: bool, form: str) -> None:
    """Remove what is left over on the host and belongs to no lab.

    Looks only at objects that carry this user's own labgen prefix, and at volumes of boxes that were replaced.

    \b
    Examples:
      labgen prune
      labgen prune --yes
      labgen prune --cache
    """
    from labgen.lab import prune as recipe

    orphans = recipe.find(cache=cache)
    rows = orphans.rows()
    if rows or form == "json":
        console.emit(rows, form, ["kind", "name"])
    for name in orphans.lost:
        console.note(
            f"{name} has lost its journal. 'labgen start {name}' writes it again, 'labgen destroy {name}' removes it."
        )
    if not rows:
        click.echo("nothing is left over", err=True)
        return
    if not yes:
        click.confirm("Remove all of it?", abort=True, err=True)
    with console.progress() as shown:
        shown.step("removing what is left over")
        recipe.remove(orphans, shown)
    click.echo("removed", err=True)
