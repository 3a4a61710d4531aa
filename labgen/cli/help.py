"""``labgen help`` and ``labgen version``, for users who do not know ``--help`` and ``--version`` yet."""

from importlib.metadata import version as version_of

import click


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show a command's help, like --help.

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
        assert command is not None  # noqa: S101 - otherwise the group has raised
        explained = click.Context(command, info_name=name, parent=explained)
    click.echo(explained.get_help())


@click.command()
def version() -> None:
    """Show the version, like --version."""
    click.echo(f"labgen, version {version_of('labgen')}")
