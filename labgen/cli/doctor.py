"""``labgen doctor``"""

from dataclasses import asdict

import click

from labgen.cli.console import emit, format_option, note, progress
from labgen.cli.profile import complete_profiles


@click.command()
@click.option(
    "--profile",
    "reference",
    metavar="NAME|FILE",
    shell_complete=complete_profiles,
    help="Also check whether this profile's machines fit.",
)
@format_option
@click.pass_context
def doctor(context: click.Context, reference: str | None, form: str) -> None:
    """Check whether this host can run labs, by trying it.

    Briefly does what create does: a volume, a network, a machine. Shows how to fix each problem. Exit code 20 if a
    check fails.

    \b
    Examples:
      labgen doctor
      labgen doctor --profile three-node-btrfs
      labgen doctor --format json
    """
    from labgen import profile
    from labgen.errors import HostError
    from labgen.lab import doctor  # libvirt and pydantic take a third of a second

    wanted = profile.load(reference).profile if reference else None
    with progress() as shown:
        findings = doctor.examine(wanted, shown)
    emit([asdict(finding) for finding in findings], form, ["name", "status", "evidence"])
    for finding in findings:
        if finding.fix and form == "table":
            note(f"{finding.name}: {finding.fix}")
    if any(finding.status == "fail" for finding in findings):
        context.exit(HostError.exit_code)
