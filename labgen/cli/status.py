"""``labgen list`` and ``labgen status``."""

import json

import click

from labgen.cli import complete
from labgen.cli.console import emit, format_option


@click.command("list")
@format_option
def list_command(form: str) -> None:
    """List the labs of this user.

    \b
    Examples:
      labgen list
      labgen list --format json
    """
    from labgen.lab.status import listing

    rows = listing()
    if not rows and form == "table":
        click.echo("no labs yet; make one with: labgen create three-node-btrfs", err=True)
        return
    emit(rows, form, ["name", "profile", "state", "nodes", "subnet"])


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@format_option
def status(lab: str, form: str) -> None:
    """Show a lab's machines and what the cluster says of them.

    \b
    Examples:
      labgen status three-node-btrfs
      labgen status three-node-btrfs --format json
    """
    from labgen.lab.status import status as look

    found = look(lab)
    content = found.to_json()
    if form == "json":
        click.echo(json.dumps(content, indent=2))
        return
    box = content["box"]
    click.echo(f"{content['lab']}: {content['state']}, profile {content['profile']}, {content['orchestrator']}")
    click.echo(f"box {box['name']} {box['version']}\n")
    rows = [{**node, **{f"swarm_{key}": value for key, value in node["swarm"].items()}} for node in content["nodes"]]
    for row in rows:
        row["swarm"] = f"{row['swarm_state']}{' (leader)' if row['swarm_leader'] else ''}"
        row["driver"] = row["storage_driver"]
        row["docker"] = row["engine_version"]
    emit(rows, form, ["name", "role", "address", "state", "driver", "docker", "swarm"])
    if found.journal.failure:
        click.echo(f"\nlast failure: {found.journal.failure}", err=True)
