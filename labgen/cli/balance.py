"""``labgen balance``"""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console

if TYPE_CHECKING:
    from labgen.machines.balancing import State

COLUMNS = ["balancer", "port", "service", "backend", "address", "state", "says"]


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.option(
    "--drain",
    metavar="NODE",
    multiple=True,
    shell_complete=complete.nodes,
    help="Send no new clients to this node; may be repeated.",
)
@click.option(
    "--undrain",
    metavar="NODE",
    multiple=True,
    shell_complete=complete.nodes,
    help="Send clients to this node again; may be repeated.",
)
@click.option("--profile", metavar="FILE", help="From now on, publish what this profile says.")
@click.option("--show", is_flag=True, help="Change nothing; also print the configuration that is in use.")
@console.format_option
def balance(  # noqa: PLR0917 - click passes them by name
    lab: str, drain: tuple[str, ...], undrain: tuple[str, ...], profile: str | None, show: bool, form: str
) -> None:
    """Give a lab's load balancers the backends that there are now.

    Prints each backend, and what the balancer's program says about it. create, start, deploy, drill and rebalance do
    this by themselves; run it after changes with docker. A configuration that the program does not accept is not
    used. Exit code 60 if a route leads to a service that is not there.

    A node that is drained keeps its clients, as far as the program can tell them.

    \b
    Examples:
      labgen balance three-node-balancer
      labgen balance three-node-balancer --show
      labgen balance three-node-balancer --profile ./routes.yaml
      labgen balance three-node-balancer --drain worker1
      labgen balance three-node-balancer --undrain worker1
    """
    from labgen.lab import balance as recipe

    if show and (drain or undrain or profile):
        raise click.UsageError("--show cannot be combined with --drain, --undrain and --profile")
    if both := sorted({*drain} & {*undrain}):
        raise click.UsageError(f"{both[0]} cannot be both drained and not")
    if show:
        with console.progress() as shown:
            found = recipe.show(lab, shown)
    else:
        from labgen.profile import load

        loaded = load(profile) if profile else None
        for warning in loaded.warnings if loaded else ():
            console.note(f"warning: {warning}")
        with console.progress() as shown:
            found = recipe.balance(lab, shown, drain=drain, undrain=undrain, profile=loaded)
    _print(found, form, with_config=show)


def _print(found: "list[State]", form: str, *, with_config: bool) -> None:
    if form == "json":
        console.emit([asdict(state) for state in found], form, [])
        return
    if with_config:
        for state in found:
            applied = state.applied
            by = f", version {applied.version}, since {applied.moment} ({applied.why})" if applied else ""
            console.say(f"# {state.balancer}: {state.program}{by}", bold=True)
            click.echo(console.printable(state.config))
    rows = [
        {**asdict(each), "balancer": state.balancer, "port": each.route} for state in found for each in state.health
    ]
    console.emit(rows, form, COLUMNS)
    for state in found:
        for complaint in state.complaints:
            console.note(f"{state.balancer}: {complaint}")
