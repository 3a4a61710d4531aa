"""``labgen drill`` and ``rebalance``: break something on purpose, measure, put it back."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from labgen.cli import complete, console
from labgen.errors import LabgenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labgen.lab.rebalance import Plan
    from labgen.records.results import Result

RATE = 20.0  # requests per second
rate_option = click.option(
    "--rate",
    metavar="R",
    type=click.FloatRange(1, 500),
    default=RATE,
    show_default=True,
    help="Requests per second while it measures.",
)


@click.command()
@click.argument("lab", required=False, shell_complete=complete.labs)
@click.argument("name", metavar="[DRILL]", required=False, shell_complete=complete.drills)
@click.option("--list", "listed", is_flag=True, help="List all drills.")
@click.option("--history", "past", is_flag=True, help="List what was done in the lab: drills, deploys, rebalances.")
@click.option(
    "--service",
    metavar="S",
    default="",
    shell_complete=complete.services,
    help="The service; default: the one that publishes a port.",
)
@rate_option
@click.option("--force", is_flag=True, help="Even if the cluster loses its majority of managers.")
@console.format_option
@click.pass_context
def drill(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    lab: str | None,
    name: str | None,
    listed: bool,
    past: bool,
    service: str,
    rate: float,
    force: bool,
    form: str,
) -> None:
    """Break something on purpose, measure, and put it back.

    Sends requests to a service all the time, does something to its nodes from outside, prints the docker or virsh
    command for each step, and measures what is lost and when all is well again. Everything is put back, also after
    Ctrl-C. Exit code 1 if the hypothesis does not come true.

    \b
    Examples:
      labgen drill --list
      labgen drill three-node-btrfs power-off
      labgen drill three-node-btrfs drain --service hello_web --rate 50
      labgen drill three-node-btrfs --history
    """
    if listed:
        from labgen.drills import DRILLS

        rows = [{"drill": each.name, "about": each.about, "hypothesis": each.hypothesis} for each in DRILLS.values()]
        console.emit(rows, form, ["drill", "about"])
        return
    if lab is None or (name is None) == (not past):
        raise click.UsageError("specify a lab and a drill, or a lab and --history, or --list")
    from labgen.lab import drill as recipe

    if past:
        _print_history(recipe.history(lab), form)
        return
    with console.progress() as shown:
        result = recipe.drill(lab, str(name), service, rate, shown, force=force)
    _print(result, form)
    if result.verdict != "passed":
        context.exit(LabgenError.exit_code)


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.argument("services", metavar="[SERVICE]...", nargs=-1, shell_complete=complete.services)
@click.option("--dry-run", is_flag=True, help="Only show what would be moved.")
@click.option("--force", is_flag=True, help="Replace all tasks instead, as 'docker service update --force' does.")
@rate_option
@console.format_option
@click.pass_context
def rebalance(  # noqa: PLR0917 - click passes them by name
    context: click.Context, lab: str, services: tuple[str, ...], dry_run: bool, force: bool, rate: float, form: str
) -> None:
    """Move tasks to the nodes that have too few.

    Moves as few as possible, one at a time; each ends only when its successor is healthy. Docker itself never moves
    a task that runs, for example to a node that has come back. Exit code 1 if a request was lost meanwhile.

    \b
    Examples:
      labgen rebalance three-node-btrfs --dry-run
      labgen rebalance three-node-btrfs
      labgen rebalance three-node-btrfs hello_web --format json
    """
    from labgen.lab import rebalance as recipe

    if dry_run:
        _print_plans(recipe.plans(lab, services), form)
        return
    with console.progress() as shown:
        done = recipe.rebalance(lab, services, rate, shown, force=force)
    if form == "json":
        console.emit([asdict(each) for each in done], form, [])
    elif not done:
        click.echo("all services are spread evenly; nothing to do")
    else:
        for each in done:
            _print(each, form)
    if any(each.verdict != "passed" for each in done):
        context.exit(LabgenError.exit_code)


def _print_plans(plans: "list[Plan]", form: str) -> None:
    rows = [
        {
            "service": plan.balance.service,
            "tasks": plan.balance.tasks if form == "json" else _places(plan.balance.tasks),
            "goal": plan.balance.goal if form == "json" else _places(plan.balance.goal),
            "moves": 0 if plan.obstacle else plan.balance.moves,
            "note": plan.obstacle or None,
        }
        for plan in plans
    ]
    console.emit(rows, form, ["service", "tasks", "goal", "moves"])
    for plan in plans:
        if plan.obstacle and form == "table":
            console.note(f"{plan.balance.service} is left alone: {plan.obstacle}")


def _print(result: "Result", form: str) -> None:
    if form == "json":
        console.emit([asdict(result)], form, [])
        return
    click.echo(f"\n{result.hypothesis}\n")
    for check in result.checks:
        evidence = f" ({check.evidence})" if check.evidence else ""
        console.say(f"  {'yes' if check.passed else 'NO '}  {console.printable(check.text + evidence)}")
    click.echo()
    _print_tables(result)
    if result.requests and not result.requests.kept_up:
        console.note("the requests were not sent on time: this host is too busy for that rate")
    click.echo(f"{result.kind} {result.name}: {result.verdict}".replace(" :", ":"))


def _print_tables(result: "Result") -> None:
    names = list(dict.fromkeys(name for moment in result.tasks.values() for name in moment))
    tasks = [{"tasks on": name, **{each: at.get(name, 0) for each, at in result.tasks.items()}} for name in names]
    numbers = [{"number": name, "value": value, "expected": expected} for name, value, expected in _numbers(result)]
    compared = [
        {"measured": name, **{each: of[each].in_words if each in of else None for each in result.things}}
        for name, of in result.compared.items()
    ]
    for rows, columns in (
        (tasks, ["tasks on", *result.tasks]),
        (compared, ["measured", *result.things]),
        (numbers, ["number", "value", "expected"]),
    ):
        if rows:
            console.emit(rows, "table", columns)
            click.echo()


def _numbers(result: "Result") -> "Iterator[tuple[str, str, str | None]]":
    for number in result.alone:
        yield number.full_name, number.in_words, number.expected or None
    if requests := result.requests:
        yield "requests sent", str(requests.sent), None
        causes = ", ".join(f"{count} {cause}" for cause, count in requests.causes.items())
        yield "requests failed", f"{requests.failed}{f' ({causes})' if causes else ''}", None
        if requests.seconds:
            yield "in seconds", requests.failed_in, None
        for name, latency in requests.latency.items():
            yield f"latency {name}", f"{latency:.0f} ms", None


def _print_history(past: "list[Result]", form: str) -> None:
    if form == "json":
        console.emit([asdict(each) for each in past], form, [])
        return
    rows = [
        {
            "when": each.began[:19].replace("T", " "),
            "what": f"{each.kind} {each.name}".strip(),
            "service": each.service or None,
            "verdict": each.verdict if each.verdict != "running" else "killed",
            "requests": each.requests.sent if each.requests else None,
            "failed": each.requests.failed if each.requests else None,
        }
        for each in past
    ]
    console.emit(rows, form, ["when", "what", "service", "verdict", "requests", "failed"])


def _places(tasks: "Mapping[str, int]") -> str:
    return ", ".join(f"{node} {count}" for node, count in tasks.items()) or "-"
