"""The questions and output of ``labgen prune --everything``."""

import click

from labgen.cli import console


def remove_everything(*, dry_run: bool, yes: bool, form: str) -> None:
    from labgen.lab import uninstall

    found = uninstall.find()
    rows = found.rows()
    if rows or form == "json":
        console.emit(rows, form, ["kind", "name"])
    for sentence in found.stays:
        console.note(sentence)
    if not rows:
        click.echo("nothing to uninstall", err=True)
    if not rows or dry_run:
        return
    if not yes:
        console.confirm(_question(found.labs))
    with console.progress() as shown:
        uninstall.remove(found, shown)
    click.echo("removed", err=True)
    console.note("Changes that setup has made to this host are kept; 'make uninstall' in the checkout lists them.")


def _question(labs: list[str]) -> str:
    if not labs:
        return "Remove all of it?"
    return f"Destroy {', '.join(labs)} with everything in them, and remove the rest?"
