"""``labgen deploy``, ``stack`` and ``why``: applications in a lab's cluster."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console
from labgen.cli.group import Group

if TYPE_CHECKING:
    from labgen.services.view import View

LIMIT = 300  # seconds; emulated machines start a container in about ten
lab_argument = click.argument("lab", shell_complete=complete.labs)
stack_argument = click.argument("name", metavar="STACK", shell_complete=complete.deployed)
COLUMNS = ["service", "mode", "tasks", "ports", "nodes"]


@click.command()
@lab_argument
@click.argument("source", metavar="STACK|FILE", shell_complete=complete.stacks_and_files)
@click.option("--name", "called", metavar="N", default="", help="Name of the stack; default: from the file.")
@click.option(
    "--timeout",
    "limit",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    default=LIMIT,
    show_default=True,
    help="Seconds to wait until all tasks run.",
)
@click.option("--detach", is_flag=True, help="Do not wait until the tasks run.")
@console.format_option
def deploy(  # noqa: PLR0917 - click passes them by name
    lab: str, source: str, called: str, limit: float, detach: bool, form: str
) -> None:
    """Deploy a compose file, and wait until it runs.

    STACK is one that comes with labgen ("labgen stack list").

    FILE is one that "docker stack deploy" takes, or the directory of one. Files it mounts from beside it are copied
    to the nodes. Missing images, networks and volumes are named before anything is created. Exit code 60, with the
    reasons, if the services do not run as they should.

    \b
    Examples:
      labgen deploy three-node-btrfs hello
      labgen deploy three-node-btrfs compose.yaml --name shop
      TAG=2 labgen deploy three-node-btrfs compose.yaml --timeout 600
    """
    from labgen.lab.deploy import deploy as recipe

    with console.progress() as shown:
        view = recipe(lab, source, called, os.environ, shown, limit=None if detach else limit)
    console.emit(_rows(view, form), form, COLUMNS)


@click.group(cls=Group)
def stack() -> None:
    """Show and remove what is deployed in a lab."""


@stack.command("list")
@click.argument("lab", required=False, shell_complete=complete.labs)
@console.format_option
def list_stacks(lab: str | None, form: str) -> None:
    """List the services in a lab.

    Without LAB, lists the stacks that come with labgen.

    \b
    Examples:
      labgen stack list
      labgen stack list three-node-btrfs
      labgen stack list three-node-btrfs --format json
    """
    if lab is None:
        from labgen import stacks

        rows = [{"stack": each.name, "about": each.about, "file": str(each.path)} for each in stacks.shipped()]
        console.emit(rows, form, ["stack", "about"])
        return
    from labgen.lab import stack as recipe

    console.emit(_rows(recipe.deployed(lab), form), form, ["stack", *COLUMNS])


@stack.command()
@lab_argument
@stack_argument
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option("-n", "--tail", metavar="N", type=click.IntRange(min=0), help="Only the last N lines of each service.")
def logs(lab: str, name: str, services: tuple[str, ...], follow: bool, tail: int | None) -> None:
    """Print what the containers of a stack print.

    \b
    Examples:
      labgen stack logs three-node-btrfs hello
      labgen stack logs three-node-btrfs hello web --follow --tail 10
    """
    from labgen.lab import stack as recipe

    recipe.logs(lab, name, services, tail, click.echo, follow=follow)


@stack.command()
@lab_argument
@stack_argument
def remove(lab: str, name: str) -> None:
    """Remove a stack; its volumes are kept.

    Removes its services, networks, configs and secrets, and returns when its containers have ended. Its volumes and
    the files that were copied for its bind mounts are kept, and listed.

    \b
    Example:
      labgen stack remove three-node-btrfs hello
    """
    from labgen.lab import stack as recipe

    with console.progress() as shown:
        kept = recipe.remove(lab, name, shown)
    click.echo(f"{name} is removed from {lab}")
    for node, volumes in kept.items():
        console.note(f"kept on {node}: {', '.join(volumes)}")


@click.command()
@lab_argument
@click.argument("service", shell_complete=complete.services)
@console.format_option
def why(lab: str, service: str, form: str) -> None:
    """Show why a service does not run as it should.

    Names the constraint or resource that no node satisfies, the nodes without the image, exit codes with the last
    lines of the log, the output of a failing health check, and an update that is paused or was rolled back.

    \b
    Examples:
      labgen why three-node-btrfs hello_web
      labgen why three-node-btrfs web --format json
    """
    from labgen.lab.why import why as recipe

    found = recipe(lab, service)
    if form == "json":
        console.emit([asdict(found)], form, [])
        return
    places = f": {_places(found.nodes)}" if found.nodes else ""
    click.echo(f"{found.service}: {found.running} of {found.wanted} tasks run{places}")
    for reason in found.reasons:
        click.echo(console.printable(reason))
    if not found.reasons and not found.converged:
        click.echo("no reason to be seen")


def _rows(view: "View", form: str) -> list[dict[str, object]]:
    from labgen.services.cluster import short

    rows: list[dict[str, object]] = []
    for service in view.services:
        nodes, ports = view.spread(service), [each for each in service.ports if each.published]
        told = [f"{each.published}{'' if each.protocol == 'tcp' else '/' + each.protocol}" for each in ports]
        rows.append(
            {
                "stack": service.stack or None,
                "service": short(service.name, service.stack),
                "image": service.image,
                "mode": service.mode,
                "running": view.done(service),
                "wanted": view.wanted(service),
                "tasks": f"{view.done(service)}/{view.wanted(service)}",
                "ports": (told if form == "json" else ", ".join(told) or None),
                "nodes": (nodes if form == "json" else _places(nodes) or None),
            }
        )
    return rows


def _places(nodes: dict[str, int]) -> str:
    return ", ".join(f"{node} {count}" for node, count in nodes.items())
