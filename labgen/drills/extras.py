"""Services and networks that a drill needs for a while, from the image of the stack "hello"."""

from collections.abc import Collection, Sequence

from labgen.drills import nodes
from labgen.drills.stage import Stage
from labgen.engine import Task
from labgen.errors import ClusterError, UsageError
from labgen.records.changes import Change
from labgen.services import bringing

IMAGE = "hello"  # the recipe's name
ABOUT = ("NODE={{.Node.Hostname}}", "TASK={{.Task.Name}}")  # what its answers tell


def bring_image(stage: Stage) -> str:
    """:return: its name in the lab. :raises ImageError: it cannot be built."""
    return bringing.own(IMAGE, list(stage.there.running), stage.there, stage.progress)


def make_network(stage: Stage, name: str, *options: str) -> None:
    """:raises UsageError: there is one of that name, which may be the user's."""
    _require_free(name, "network", stage.there.engine.services.networks())
    words = ["network", "create", "--driver", "overlay", *options, name]
    stage.docker(f"a network named {name}", *words, change=Change("network", name))


def make_service(stage: Stage, name: str, options: Sequence[str], image: str) -> None:
    """Creates a service, and waits until its tasks run.

    :raises UsageError: see :func:`create_service`. :raises ClusterError: they do not.
    """
    about = [word for each in ABOUT for word in ("--env", each)]
    create_service(stage, name, [*about, *options], image)
    if stage.until(f"{name} runs", lambda view: view.has_converged(view.service(name)), nodes.RUN_LIMIT) is None:
        raise ClusterError(f"{name} does not run", "", f"labgen why {stage.lab.plan.name} {name}")


def create_service(stage: Stage, name: str, options: Sequence[str], image: str) -> None:
    """:raises UsageError: there is one of that name, perhaps the user's. :raises ClusterError: Docker refuses."""
    _require_free(name, "service", [each.name for each in stage.look().services])
    words = ["service", "create", "--detach", "--no-resolve-image", "--name", name, *options, image]
    stage.docker(f"a service named {name}", *words, change=Change("extra", name))


def _require_free(name: str, kind: str, taken: Collection[str]) -> None:
    """What a drill makes is removed afterwards, by its name."""
    if name in taken:
        raise UsageError(f"there is a {kind} named {name} already", resolution=f"Remove it: docker {kind} rm {name}")


def tasks(stage: Stage, name: str) -> dict[str, Task]:
    """Its running tasks, by node."""
    view = stage.look()
    return {view.hostnames[task.node_id]: task for task in view.running(view.service(name))}


def address(stage: Stage, node: str, task: Task, network: str) -> str:
    """A task's address in a network, as its node says. :raises ClusterError: it is not in it."""
    template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return stage.on(node, "inspect", "--format", template, task.container).strip()
