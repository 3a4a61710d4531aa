"""``labgen destroy`` and ``labgen prune``."""

import click

from labgen.cli import complete, console
from labgen.errors import LabgenError, UsageError
from labgen.refusals import explained
from labgen.suggestions import near

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


@click.command()
@click.argument("lab", nargs=-1, shell_complete=complete.labs)
@click.option("--all", "everything", is_flag=True, help="Destroy all labs of this user.")
@click.option("--if-exists", is_flag=True, help="Ignore labs that do not exist.")
@yes_option
def destroy(lab: tuple[str, ...], everything: bool, if_exists: bool, yes: bool) -> None:
    """Remove labs: machines, disks, network and keys.

    The records of drills, deploys and rebalances are kept for "labgen report"; "labgen prune --records" removes them.

    If one of the names is not a lab, nothing is removed. If removing one lab fails, the others are still removed, and
    the exit code is that of the failure.

    \b
    Examples:
      labgen destroy three-node-btrfs
      labgen destroy first second --yes
      labgen destroy first --if-exists --yes
      labgen destroy --all --yes
    """
    from labgen.machines import homes

    if bool(lab) == everything:
        raise click.UsageError("specify the labs to destroy, or --all")
    names = homes.labs() if everything else _present(list(dict.fromkeys(lab)), if_exists)
    if not names:
        if everything:
            click.echo("there are no labs", err=True)
        return
    if not yes:
        console.confirm(f"Destroy {', '.join(names)} with everything in them?")
    failures = [failure for name in names if (failure := _destroyed(name))]
    if failures:
        raise click.exceptions.Exit(max(failures))


def _present(names: list[str], if_exists: bool) -> list[str]:
    """The names for which a lab, or leftovers of one, exist.

    :raises UsageError: there are others, and they must not be missing.
    """
    from labgen.lab.destroy import is_there
    from labgen.records import journals

    missing = [name for name in names if not is_there(name)]
    if missing and not if_exists:
        raise UsageError(
            f"there is no lab named {' or '.join(repr(name) for name in missing)}; nothing was destroyed",
            "\n".join(dict.fromkeys(near(name, journals.names(), "labs") for name in missing)),
            "'labgen list' shows all labs; --if-exists skips those that do not exist.",
        )
    for name in missing:
        console.note(f"there is no lab named {name!r}")
    return [name for name in names if name not in missing]


def _destroyed(name: str) -> int:
    """Destroys one lab and prints the result. :return: the exit code; 0 if the lab is destroyed."""
    from labgen.lab.destroy import destroy as remove

    try:
        with console.progress() as shown:
            kept = remove(name, shown)
    except (LabgenError, OSError) as error:
        failure = explained(error) if isinstance(error, OSError) else error
        console.fail(failure)
        console.note(f"{name} was not destroyed.")
        return failure.exit_code
    click.echo(f"{name} is destroyed")
    if kept:
        records = console.counted(kept, "record")
        console.note(f"kept: {records} for 'labgen report {name}'; 'labgen prune --records' deletes what is kept")
    return 0


@click.command()
@click.option("--cache", is_flag=True, help="Also remove the templates that make the next create of a profile fast.")
@click.option("--records", is_flag=True, help="Also remove what is kept of destroyed labs for reports.")
@click.option(
    "--everything", is_flag=True, help="Remove everything labgen keeps for this user: labs, boxes and records."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@yes_option
@console.format_option
def prune(  # noqa: PLR0917 - click passes them by name
    cache: bool, records: bool, everything: bool, dry_run: bool, yes: bool, form: str
) -> None:
    """Remove leftovers on this host that belong to no lab.

    Considers only objects with this user's labgen prefix, and volumes of replaced boxes.

    With --everything, removes everything that labgen has created on this host for this user: labs with everything in
    them, records of destroyed labs, boxes, also in Vagrant's store and in libvirt's, and labgen's directories.
    Objects of other users are kept and listed.

    \b
    Examples:
      labgen prune
      labgen prune --dry-run
      labgen prune --yes
      labgen prune --cache
      labgen prune --records --dry-run
      labgen prune --everything --dry-run
    """
    from labgen.cli.uninstall import remove_everything
    from labgen.lab import prune as recipe

    if everything:
        remove_everything(dry_run=dry_run, yes=yes, form=form)
        return
    orphans = recipe.find(cache=cache, records=records)
    rows = orphans.rows()
    if rows or form == "json":
        console.emit(rows, form, ["kind", "name"])
    for name in orphans.lost:
        console.note(
            f"{name} has machines or disks but no journal; it is kept. 'labgen start {name}' writes one again, "
            f"if the profile is there; 'labgen destroy {name}' removes it all."
        )
    if not records and (archived := recipe.archived()):
        labs = console.counted(archived, "destroyed lab")
        console.note(f"the records of {labs} are kept for reports; 'labgen prune --records' removes them")
    if not rows:
        click.echo("nothing to remove", err=True)
    if not rows or dry_run:
        return
    if not yes:
        console.confirm("Remove all of it?")
    with console.progress() as shown:
        shown.step("removing leftovers", stage="prune")
        recipe.remove(orphans, shown)
    click.echo("removed", err=True)
