"""``labgen profile``: list, show, validate, schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from labgen import paths
from labgen.cli.console import emit, format_option, note
from labgen.cli.group import Group
from labgen.errors import ProfileError

if TYPE_CHECKING:
    from labgen.profile import Profile

# labgen.profile is imported inside the commands: pydantic takes a quarter of a second.


def complete_profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the shipped profiles' names, and files if the word is a path or matches no profile."""
    names = sorted(file.stem for file in paths.shipped_profiles().glob("*.yaml"))
    fitting = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return fitting or [CompletionItem(incomplete, type="file")]


@click.group(cls=Group)
def profile() -> None:
    """Show profiles and validate your own.

    A profile is a YAML file that describes a lab. Every command accepts the name of a profile that comes with labgen,
    or the path of a file.
    """


@profile.command("list")
@format_option
def list_profiles(form: str) -> None:
    """List the profiles that come with labgen.

    \b
    Examples:
      labgen profile list
      labgen profile list --format json
    """
    from labgen.profile import load, shipped

    emit([_row(load(name).profile) for name in shipped()], form, ["name", "nodes", "driver", "description"])


@profile.command()
@click.argument("reference", metavar="NAME|FILE", shell_complete=complete_profiles)
@click.option("--set", "overrides", metavar="FIELD=VALUE", multiple=True, help="Change one field; can be repeated.")
def show(reference: str, overrides: tuple[str, ...]) -> None:
    """Print a profile as YAML, with all defaults filled in.

    \b
    Examples:
      labgen profile show three-node-btrfs
      labgen profile show my.yaml --set nodes.worker.count=4 --set resources.memory=2GiB
    """
    from labgen.profile import dump, load

    loaded = load(reference, overrides)
    _warn(reference, loaded.warnings)
    click.echo(dump(loaded.profile), nl=False)


@profile.command()
@click.argument("references", metavar="NAME|FILE...", nargs=-1, required=True, shell_complete=complete_profiles)
def validate(references: tuple[str, ...]) -> None:
    """Validate profiles and show all errors at once. Exit code 10 if there are any.

    \b
    Examples:
      labgen profile validate my.yaml
      labgen profile validate profiles/*.yaml
    """
    from labgen.profile import load

    errors: list[ProfileError] = []
    for reference in references:
        try:
            loaded = load(reference)
        except ProfileError as error:
            errors.append(error)
            continue
        _warn(reference, loaded.warnings)
        click.echo(f"{reference}: ok")
    if errors:
        raise _together(errors, len(references))


@profile.command()
def schema() -> None:
    """Print the JSON Schema of profiles, for editors.

    Editors use it to complete and validate profiles.

    \b
    Example:
      labgen profile schema > labgen.schema.json
    then, as the first line of a profile in the same directory:
      # yaml-language-server: $schema=labgen.schema.json
    """
    from labgen.profile import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def _row(profile: Profile) -> dict[str, object]:
    nodes = profile.node_specs()
    return {
        "name": profile.name,
        "nodes": len(nodes),
        "managers": sum(node.role == "manager" for node in nodes),
        "driver": profile.storage.driver,
        "orchestrator": profile.orchestrator,
        "box": profile.box,
        "memory_mib": sum(node.memory_mib for node in nodes),
        "description": profile.description,
    }


def _warn(reference: str, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        note(f"warning: {reference}: {warning}")


def _together(errors: list[ProfileError], checked: int) -> ProfileError:
    """Combines several profiles' errors into one; a single error is returned unchanged."""
    if len(errors) == 1:
        return errors[0]
    details = "\n".join(f"{error.brief}\n{error.details}".strip("\n") for error in errors)
    return ProfileError(
        f"{len(errors)} of {checked} profiles are not valid", details, "Correct them, then run this command again."
    )
