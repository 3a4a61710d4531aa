"""Images made from a service's own, for drills that update it: they stay in the lab, for the next time."""

import shlex

from labgen.drills.stage import Stage
from labgen.errors import UsageError
from labgen.services import bringing
from labgen.services.placement import eligible
from labgen.services.view import constraints

NOWHERE = "/labgen-drill-broken"  # a program that does not exist


def next_version(stage: Stage) -> str:
    """An image that does the same. :return: its name. :raises ClusterError: it cannot be built."""
    return _build(stage, "next", f"FROM {image(stage)}\nLABEL labgen.drill=next\n")


def broken(stage: Stage) -> str:
    """An image whose container does not start. :return: its name. :raises ClusterError: it cannot be built."""
    return _build(stage, "broken", f'FROM {image(stage)}\nENTRYPOINT ["{NOWHERE}"]\n')


def refuse_own_command(stage: Stage) -> None:
    """:raises UsageError: the service's settings name the program that runs, whatever its image says."""
    settings = (stage.there.engine.services.settings(stage.name) or {})["TaskTemplate"]["ContainerSpec"]
    if command := settings.get("Command"):
        raise UsageError(
            f"{stage.name} has an entrypoint in its settings, so that an image without one does not break it",
            shlex.join(command),
            "Choose another service with --service.",
        )


def image(stage: Stage) -> str:
    """The service's own, without its digest."""
    return stage.service().image


def _build(stage: Stage, variant: str, dockerfile: str) -> str:
    name = f"localhost/labgen-drill:{stage.name}-{variant}"
    text = "; ".join(dockerfile.strip().splitlines())
    words = ["build", "--quiet", "--tag", name, "-"]
    stage.docker(f"building an image: {text}", *words, stdin=dockerfile.encode())
    view = stage.look()
    places = [node.hostname for node in eligible(view.nodes, constraints(stage.service(view)))]
    bringing.from_manager(name, places, stage.there, stage.progress)
    return name
