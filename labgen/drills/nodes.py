"""What drills do to nodes, and how they see that it took hold."""

from collections.abc import Callable, Collection

from labgen.drills.stage import Stage
from labgen.errors import HypervisorError, UsageError
from labgen.records.changes import Change
from labgen.services.view import View

Condition = Callable[[View], bool]

NOTICE_LIMIT = 120  # seconds for the managers to notice; the third missed heartbeat is due after 15 s
RUN_LIMIT = 240  # seconds for tasks to run elsewhere; emulated machines start several containers slowly
UPDATE_LIMIT = 900  # seconds for all tasks to be replaced, one after the other
BOOT_LIMIT = 300  # seconds until a node that was switched on is ready


def busiest(stage: Stage) -> str:
    """The node with most tasks of the service, except the manager through which the drill looks.

    :raises UsageError: there is no other node with tasks.
    """
    spread = stage.spread()
    away = stage.manager
    running = {name: spread.get(name, 0) for name in stage.there.running if name != away and spread.get(name, 0)}
    if not running:
        raise UsageError(
            f"{stage.name} has no tasks on a node that can be taken away",
            ", ".join(f"{node} {count}" for node, count in spread.items()),
            f"More replicas: labgen exec {stage.lab.plan.name} -- docker service scale {stage.name}=6",
        )
    workers = {node.name for node in stage.lab.plan.members if node.role != "manager"}
    return max(running, key=lambda name: (name in workers, running[name]))


def require_another_node(stage: Stage) -> None:
    """:raises UsageError: the lab has one node."""
    if len(stage.there.running) < 2:
        raise UsageError(f"this drill takes a node away, and {stage.lab.plan.name!r} has no other that runs")


def require_majority_without(stage: Stage, victim: str) -> None:
    """:raises UsageError: the cluster would lose its majority of managers with that node, and nobody wants that."""
    managers = [node for node in stage.look().nodes if node.role == "manager"]
    left = [node for node in managers if node.state == "ready" and node.hostname != victim]
    takes_one = victim in {node.hostname for node in managers}
    if takes_one and 2 * len(left) <= len(managers) and not stage.force:
        raise UsageError(
            f"this drill takes {victim} away, and with it the majority of the managers",
            f"managers: {', '.join(node.hostname for node in managers)}",
            "Tasks on a worker, which it would take instead; or add --force.",
        )


def cut_power(stage: Stage, node: str) -> None:
    """:raises HypervisorError: the machine still runs."""
    domain = stage.lab.plan.node(node).domain
    stage.act(
        f"cutting the power of {node}",
        f"virsh destroy {domain}",
        lambda: stage.lab.hypervisor.cut_power(domain),
        Change("power", node),
    )
    state = stage.lab.states().get(node, "missing")
    if state != "stopped":
        raise HypervisorError(f"{node} did not go off", f"libvirt: {domain} is {state}")
    stage.saw(f"libvirt: {domain} is {state}")


def unplug(stage: Stage, node: str) -> None:
    """Takes the machine's network away; it runs on. :raises HypervisorError: its link is still up."""
    plan, links = stage.lab.plan, stage.lab.hypervisor.links
    domain = plan.node(node).domain
    stage.act(
        f"unplugging the network of {node}",
        f"virsh domif-setlink {domain} {plan.node(node).mac} down",
        lambda: links.set(domain, plan.network, up=False),
        Change("link", node),
    )
    if domain not in links.down(plan.prefix, plan.network):
        raise HypervisorError(f"the network of {node} is not unplugged", f"libvirt: the link of {domain} is up")
    stage.saw(f"libvirt: the link of {domain} is down, the machine is {stage.lab.states().get(node)}")


def is_down(stage: Stage, node: str) -> Condition:
    return lambda view: _state(view, node) == "down"


def is_ready(stage: Stage, node: str) -> Condition:
    return lambda view: _state(view, node) == "ready"


def all_elsewhere(stage: Stage, node: str) -> Condition:
    """Whether all tasks of the service run, none of them on that node."""

    def holds(view: View) -> bool:
        service = stage.service(view)
        running = [task for task in view.running(service) if view.hostnames.get(task.node_id) != node]
        return len(running) >= view.wanted(service)

    return holds


def all_run(stage: Stage) -> Condition:
    return lambda view: view.has_converged(stage.service(view))


def _state(view: View, name: str) -> str:
    return next((node.state for node in view.nodes if node.hostname == name), "gone")


def all_replaced(stage: Stage, former: Collection[str]) -> Condition:
    """Whether all tasks run, and none of the former ones (their ids)."""

    def holds(view: View) -> bool:
        service = stage.service(view)
        return view.has_converged(service) and not {task.id for task in view.running(service)} & set(former)

    return holds


def all_run_image(stage: Stage, image: str) -> Condition:
    """Whether all tasks of the service run, and with that image."""

    def holds(view: View) -> bool:
        service = stage.service(view)
        running = view.running(service)
        return view.has_converged(service) and all(task.image.partition("@")[0] == image for task in running)

    return holds


def all_ready(view: View) -> bool:
    return all(node.state == "ready" for node in view.nodes)
