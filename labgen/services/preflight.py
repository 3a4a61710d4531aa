"""What would keep a stack from running, found before anything is created."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labgen.engine import EngineImage, SwarmNode
from labgen.errors import ClusterError, LabgenError, StackError
from labgen.model import REGISTRY_PORT
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services.cluster import Cluster
from labgen.services.placement import eligible
from labgen.stacks import ComposeFile, External

CREATE = {
    "networks": "docker network create --driver overlay --attachable {}",
    "volumes": "docker volume create {}",
    "configs": "docker config create {} FILE",
    "secrets": "docker secret create {} FILE",
}


@dataclass(frozen=True)
class Images:
    """:param held: the names of the images that each node has. :param complaints: why others cannot be pulled."""

    held: Mapping[str, frozenset[str]]
    complaints: Mapping[str, str]
    pullable: frozenset[str]

    def lacking(self, image: str, nodes: Iterable[str]) -> list[str]:
        """The nodes that have to get an image from elsewhere."""
        if image in self.pullable or "@" in image:  # whether a node has a digest is not listed
            return []
        return [node for node in nodes if node in self.held and image not in self.held[node]]


def require_externals(compose: ComposeFile, cluster: Cluster) -> None:
    """:raises ClusterError: something that has to exist before, and that labgen does not make, does not."""
    existing = {
        "networks": set(cluster.engine.services.networks()),
        "configs": {each.name for each in cluster.engine.services.configs()},
        "secrets": {each.name for each in cluster.engine.services.secrets()},
    }
    if any(each.kind == "volumes" for each in compose.externals):
        existing["volumes"] = _volumes(cluster)
    existing["secrets"] |= set(compose.needs.secrets)
    missing = [each for each in compose.externals if each.name not in existing[each.kind]]
    if missing:
        raise ClusterError(
            f"{compose.path} needs what {cluster.lab.name!r} does not have",
            "\n".join(f"{each.kind.removesuffix('s')} {each.name}" for each in missing),
            "\n".join(_way(each, cluster) for each in missing),
        )


def require_free_ports(compose: ComposeFile, stack: str, cluster: Cluster) -> None:
    """:raises StackError: two services of the file publish one port.

    :raises ClusterError: another service publishes one.
    """
    wanted: dict[tuple[int, str], str] = {}
    for service in compose.services:
        for port in service.ports:
            if (other := wanted.setdefault(port, service.name)) != service.name:
                raise StackError(f"{compose.path}: {other} and {service.name} both publish port {port[0]}/{port[1]}")
    if cluster.lab.registry and (publisher := wanted.get((REGISTRY_PORT, "tcp"))):
        raise ClusterError(
            f"{publisher} of {stack} publishes port {REGISTRY_PORT}/tcp, which the lab's registry has",
            f"A published port is taken on all nodes: {cluster.lab.registry_name} would no longer answer.",
            "Publish another port.",
        )
    own = {f"{stack}_{service.name}" for service in compose.services}
    taken = [
        f"{port.published}/{port.protocol} is published by {service.name}"
        for service in cluster.engine.services.listed()
        if service.name not in own
        for port in service.ports
        if port.mode == "ingress" and (port.published, port.protocol) in wanted
    ]
    if taken:
        raise ClusterError(f"ports of {stack} are taken", "\n".join(taken), "Publish others, or remove that service.")


def images(compose: ComposeFile, cluster: Cluster, progress: Progress) -> Images:
    """Which images the nodes have, and which they can pull.

    Registries are only asked for what some node lacks; the lab's own for all that it should have, so that services
    are pinned to what it has now.
    """
    progress.step("checking the images", stage="check-images")
    found = on_each({name: name for name in cluster.running}, lambda name: _images_of(name, cluster, progress))
    held = {node: _names(each) for node, each in found.items() if each is not None}
    wanted = {service.image for service in compose.services}
    absent = {image for image in wanted if not all(image in names for names in held.values())}
    own = {image for image in wanted if cluster.lab.registry and image.startswith(f"{cluster.lab.registry_name}/")}
    answers = {image: cluster.engine.pull_complaint(image) for image in sorted(absent | own)}
    complaints = {image: answer for image, answer in answers.items() if answer}
    return Images(held, complaints, frozenset(answers.keys() - complaints.keys()))


def require_images(compose: ComposeFile, found: Images, nodes: Sequence[SwarmNode], cluster: Cluster) -> None:
    """:raises ClusterError: a service's image is on none of the nodes that may run it, and cannot be pulled."""
    nowhere = {
        service.image: places
        for service in compose.services
        if (places := [node.hostname for node in eligible(nodes, service.constraints) if node.hostname in found.held])
        and len(found.lacking(service.image, places)) == len(places)
    }
    if nowhere:
        raise ClusterError(
            "images are missing, and cannot be pulled",
            "\n".join(
                f"{image}: not on {', '.join(places)}\n  {found.complaints.get(image, '')}".rstrip()
                for image, places in nowhere.items()
            ),
            f"Bring them to the lab: docker save IMAGE -o FILE; labgen image load {cluster.lab.name} FILE"
            + (f"; or push them to {cluster.lab.registry_name}" if cluster.lab.registry else ""),
        )


def partly_missing(compose: ComposeFile, found: Images, nodes: Sequence[SwarmNode]) -> Iterator[str]:
    """In words: images that some of the nodes that may run their services lack."""
    for service in compose.services:
        places = [node.hostname for node in eligible(nodes, service.constraints)]
        if lacking := found.lacking(service.image, places):
            yield f"{service.name}: {', '.join(lacking)} cannot run it without the image {service.image}"


def _images_of(node: str, cluster: Cluster, progress: Progress) -> list[EngineImage] | None:
    """None: the node does not answer; what it has is unknown."""
    try:
        return cluster.engine_of(node).images()
    except LabgenError as error:
        progress.note(f"{node} does not answer, and may lack images: {error.details or error.brief}")
        return None


def _names(found: Sequence[EngineImage]) -> frozenset[str]:
    return frozenset(name for image in found for name in image.names)


def _volumes(cluster: Cluster) -> set[str]:
    found = on_each({name: name for name in cluster.running}, lambda name: cluster.engine_of(name).volumes())
    return {volume for volumes in found.values() for volume in volumes}


def _way(missing: External, cluster: Cluster) -> str:
    where = "" if missing.kind == "volumes" else f"--node {cluster.manager.target.name} "  # volumes are every node's
    return f"labgen exec {cluster.lab.name} {where}-- {CREATE[missing.kind].format(missing.name)}"
