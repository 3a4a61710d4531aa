"""Services and networks that a drill needs for a while, from the image of the stack "hello"."""

from collections.abc import Sequence

from labgen.drills import nodes
from labgen.drills.stage import Stage
from labgen.engine import Service, Task
from labgen.errors import ClusterError
from labgen.records.changes import Change
from labgen.services import bringing
from labgen.services.view import View

IMAGE = "hello"  # the recipe's name
ABOUT = ("NODE={{.Node.Hostname}}", "TASK={{.Task.Name}}")  # what its answers tell


def bring_image(stage: Stage) -> str:
    """:return: its name in the lab. :raises ImageError: it cannot be built."""
    return bringing.own(IMAGE, list(stage.there.running), stage.there, stage.progress)


def make_network(stage: Stage, name: str, *options: str) -> None:
    words = ["network", "create", "--driver", "overlay", *options, name]
    stage.docker(f"a network named {name}", *words, change=Change("network", name))


def make_service(stage: Stage, name: str, options: Sequence[str], image: str) -> None:
    """Creates a service, and waits until its tasks run. :raises ClusterError: they do not."""
    about = [word for each in ABOUT for word in ("--env", each)]
    words = ["service", "create", "--detach", "--no-resolve-image", "--name", name, *about, *options, image]
    stage.docker(f"a service named {name}", *words, change=Change("extra", name))
    if stage.until(f"{name} runs", lambda view: view.has_converged(found(view, name)), nodes.RUN_LIMIT) is None:
        raise ClusterError(f"{name} does not run", "", f"labgen why {stage.lab.plan.name} {name}")


def found(view: View, name: str) -> Service:
    """:raises ClusterError: it is gone."""
    for each in view.services:
        if each.name == name:
            return each
    raise ClusterError(f"the service {name} is gone")


def tasks(stage: Stage, name: str) -> dict[str, Task]:
    """Its running tasks, by node."""
    view = stage.look()
    return {view.hostnames[task.node_id]: task for task in view.running(found(view, name))}


def address(stage: Stage, node: str, task: Task, network: str) -> str:
    """A task's address in a network, as its node says. :raises ClusterError: it is not in it."""
    template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return stage.on(node, "inspect", "--format", template, task.container).strip()
