"""``labgen completion``"""

import click
from click.shell_completion import get_completion_class

from labgen.cli import complete

# click's zsh code calls compdef, which is not defined in a zsh without a .zshrc.
COMPINIT = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the setup for tab completion in a shell.

    It completes commands, options, labs, nodes, checkpoints, profiles and boxes.

    \b
    Examples:
      eval "$(labgen completion bash)"          in ~/.bashrc
      eval "$(labgen completion zsh)"           in ~/.zshrc
      labgen completion fish | source           in ~/.config/fish/config.fish
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None  # noqa: S101 - click supports all three
    source = shell_class(context.find_root().command, {}, "labgen", complete.VARIABLE).source()
    if shell == "zsh":
        first, _, rest = source.partition("\n")  # "#compdef labgen", for use from a directory in fpath
        source = f"{first}\n{COMPINIT}\n{rest}"
    click.echo(source)
