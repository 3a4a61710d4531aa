"""``labgen help`` and ``labgen version``: what many type before they know of ``--help`` and ``--version``."""

from importlib.metadata import version as version_of

import click


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show a command's help, as its --help does.

    \b
    Examples:
      labgen help
      labgen help create
      labgen help checkpoint save
    """
    explained = context.find_root()
    for word in words:
        group = explained.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{explained.command_path!r} has no subcommands", context)
        name, command, _ = group.resolve_command(explained, [word])
        assert command is not None  # noqa: S101 - else the group has raised
        explained = click.Context(command, info_name=name, parent=explained)
    click.echo(explained.get_help())


@click.command()
def version() -> None:
    """Show the version, as --version does."""
    click.echo(f"labgen, version {version_of('labgen')}")
