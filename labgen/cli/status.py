"""``labgen list`` and ``labgen status``."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from labgen.cli import complete
from labgen.cli.console import emit, format_option, note, printable
from labgen.errors import GuestError

if TYPE_CHECKING:
    from labgen.health import Finding
    from labgen.lab.status import Status

WIDTH = 80  # columns of the table of findings


@click.command("list")
@format_option
def list_command(form: str) -> None:
    """List your labs.

    \b
    Examples:
      labgen list
      labgen list --format json
    """
    from labgen.lab.list_ import listing

    rows = listing()
    if not rows and form == "table":
        click.echo("no labs yet; create one with: labgen create three-node-btrfs", err=True)
        return
    emit(rows, form, ["name", "profile", "state", "nodes", "subnet"])


@click.command()
@click.argument("lab", shell_complete=complete.labs)
@click.option("--check", is_flag=True, help="Also check every machine: clock, disks, memory, services, network ...")
@format_option
@click.pass_context
def status(context: click.Context, lab: str, check: bool, form: str) -> None:
    """Show a lab's machines and their state in the cluster.

    With --check, the exit code is 50 if a check fails; "labgen start" repairs what is safe to repair.

    \b
    Examples:
      labgen status three-node-btrfs
      labgen status three-node-btrfs --check
      labgen status three-node-btrfs --format json
    """
    from labgen.lab.status import status as look

    found = look(lab)
    findings: list[Finding] = []
    if check:
        from labgen.machines import health

        findings = health.check(found.journal.lab, found.states, found.cut_off, found.down)
    content = found.to_json()
    if check:
        content["health"] = [asdict(finding) for finding in findings]
    if form == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        _print_status(found)
        _print_findings(findings)
    if any(finding.status == "fail" for finding in findings):
        context.exit(GuestError.exit_code)


def _print_status(found: "Status") -> None:
    content = found.to_json()
    box = content["box"]
    click.echo(f"{content['lab']}: {content['state']}, profile {content['profile']}, {content['orchestrator']}")
    click.echo(f"box {box['name']} {box['version']}")
    if registry := content["registry"]:
        click.echo(f"registry {registry['name']}; from this host https://{registry['address']}")
    click.echo()
    rows = [
        {
            **node,
            "role": node["role"] or node["kind"],
            "cluster": _in_cluster(node["cluster"]),
            "driver": node["storage_driver"],
            "docker": node["engine_version"],
        }
        for node in content["nodes"]
    ]
    emit(rows, "table", ["name", "role", "address", "state", "driver", "docker", "cluster"])
    if found.cut_off:
        note(f"\ndisconnected from the network: {', '.join(found.cut_off)}. Reconnect: labgen start {content['lab']}")
    if found.interrupted:
        note(f"\nan interrupted '{found.interrupted}' has left changes. Put them back: labgen start {content['lab']}")
    changed = {name: words for name, network in found.networks.items() if (words := network.in_words())}
    if changed:
        ways = (
            f"network of {node}: {words} (labgen net {content['lab']} {node} --reset)"
            for node, words in changed.items()
        )
        note("\n" + "\n".join(ways))
    if found.journal.failure:
        click.echo(f"\nlast failure: {found.journal.failure}", err=True)


def _in_cluster(said: "Mapping[str, Any] | None") -> str:
    return f"{said['state']}{' (leader)' if said['leader'] else ''}" if said else "outside"


def _print_findings(findings: "Sequence[Finding]") -> None:
    """Prints a line for each finding, with its evidence wrapped; the fixes go to stderr."""
    if not findings:
        return
    room = WIDTH - sum(2 + max(len(text) for text in column) for column in zip(*_cells(findings), strict=True))
    rows = []
    for finding in findings:
        first, *further = _wrapped(finding.evidence, max(room, WIDTH // 4)) or [""]
        rows.append({**asdict(finding), "evidence": first})
        rows += [{"node": "", "check": "", "status": "", "evidence": line} for line in further]
    click.echo()
    emit(rows, "table", ["node", "check", "status", "evidence"])
    for finding in findings:
        if finding.fix:
            note(f"{finding.node}, {finding.check}: {finding.fix}")


def _cells(findings: "Sequence[Finding]") -> list[tuple[str, str, str]]:
    return [("node", "check", "status"), *((each.node, each.check, each.status) for each in findings)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), width, break_on_hyphens=False)
