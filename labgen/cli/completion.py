"""``labgen completion``"""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete labgen's commands, labs, nodes and profiles.

    \b
    Examples:
      eval "$(labgen completion bash)"          in ~/.bashrc
      eval "$(labgen completion zsh)"           in ~/.zshrc
      labgen completion fish | source           in ~/.config/fish/config.fish
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None  # noqa: S101 - click knows all three
    click.echo(shell_class(context.find_root().command, {}, "labgen", "_LABGEN_COMPLETE").source())
