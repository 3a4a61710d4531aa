"""From a compose file to a stack in a lab's cluster."""

from collections.abc import Sequence

from labgen import images, paths
from labgen.engine import SwarmNode
from labgen.errors import ClusterError
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services import bringing, delivery, needs, preflight, removal
from labgen.services.building import Builder
from labgen.services.cluster import Cluster
from labgen.services.placement import eligible
from labgen.stacks import ComposeFile
from labgen.stacks.override import MARK, Version, versions


def create(compose: ComposeFile, stack: str, there: Cluster, progress: Progress) -> None:
    """Checks what a stack needs, brings it, and creates or updates the stack; nothing is created if a check fails.

    :raises StackError: the compose file is not valid. :raises GuestError: a node does not answer.
    :raises ClusterError: something is missing, or Docker refuses. A new stack is then removed again.
    """
    listed = there.nodes()
    made = needs.labels(compose, listed)
    nodes = needs.with_labels(listed, made)
    preflight.require_externals(compose, there)
    preflight.require_free_ports(compose, stack, there)
    chosen = _versions(compose, stack, there)
    _bring_own_images(compose, nodes, there, progress)
    compose = Builder(compose, stack, nodes, there, progress).built()
    found = preflight.images(compose, there, progress)
    preflight.require_images(compose, found, nodes, there)
    for line in preflight.partly_missing(compose, found, nodes):
        progress.note(line)
    _send_binds(compose, stack, nodes, there, progress)
    needs.make(compose, made, there, progress)
    is_new = not removal.exists(stack, there.engine)
    try:
        answer = delivery.deploy(compose, stack, chosen, there.manager, progress, pin=bool(found.pullable))
    except delivery.PartlyDeployed as error:
        if not is_new:
            raise ClusterError(
                error.brief, error.details, "The other services were updated. Deploy again."
            ) from error
        removal.remove(stack, there, progress)
        raise ClusterError(error.brief, f"{error.details}\nwhat had been created is removed again") from error
    names = {f"{stack}_{service.name}" for service in compose.services}
    if former := [each.name for each in there.engine.services.listed(stack) if each.name not in names]:
        progress.note(f"not in the compose file, and left running: {', '.join(former)} (docker service rm NAME)")
    ignored = dict.fromkeys([*answer.ignored, *(key for keys in compose.ignored.values() for key in keys)])
    if ignored:
        progress.note(f"a stack ignores: {', '.join(ignored)}")


def _versions(compose: ComposeFile, stack: str, there: Cluster) -> list[Version]:
    if not compose.stored:
        return []
    existing = {
        "configs": {each.name: each.labels.get(MARK, "") for each in there.engine.services.configs()},
        "secrets": {each.name: each.labels.get(MARK, "") for each in there.engine.services.secrets()},
    }
    key = (paths.lab(there.lab.name) / paths.KEY).read_bytes()
    return versions(compose, stack, existing, key)


def _bring_own_images(compose: ComposeFile, nodes: Sequence[SwarmNode], there: Cluster, progress: Progress) -> None:
    """Images that labgen builds from Debian's packages are built if they have to be, and brought to the nodes.

    To those that may run them; and to the manager, if it builds others from them.
    """
    built = {images.load(name).reference: name for name in images.known()}
    places: dict[str, set[str]] = {}  # the nodes' names, by image
    for service in compose.services:
        if service.image in built:
            fitting = [node.hostname for node in eligible(nodes, service.constraints)]
            places.setdefault(service.image, set()).update(name for name in fitting if name in there.running)
        for base in set(service.build.bases if service.build else ()) & built.keys():
            places.setdefault(base, set()).add(there.manager.target.name)
    for image, names in places.items():
        bringing.own(built[image], names, there, progress)


def _send_binds(
    compose: ComposeFile, stack: str, nodes: Sequence[SwarmNode], there: Cluster, progress: Progress
) -> None:
    """To every running node that may run the service."""
    wanted: dict[str, list[str]] = {}
    for service in compose.services:
        for node in eligible(nodes, service.constraints):
            if node.hostname in there.running and service.binds:
                wanted.setdefault(node.hostname, []).extend(service.binds)
    connections = {name: there.connection(name) for name in wanted}
    on_each(connections, lambda each: delivery.send_binds(compose, stack, wanted, each, progress))
