"""What the shell may complete."""

import click

from labgen import paths


def labs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    directory = paths.labs()
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return [name for name in names if name.startswith(incomplete)]


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The nodes of the lab that was typed before."""
    from labgen import state
    from labgen.errors import LabgenError

    try:
        lab = state.load(ctx.params["lab"]).lab
    except (LabgenError, KeyError):
        return []
    return [node.name for node in lab.nodes if node.name.startswith(incomplete)]


def checkpoints(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The labels of the lab that was typed before."""
    directory = paths.checkpoints(ctx.params.get("lab") or "")
    labels = sorted(path.stem for path in directory.glob("*.json"))
    return [label for label in labels if label.startswith(incomplete)]
