"""``image``: containers' images in a lab."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from labgen.errors import GuestError, UsageError
from labgen.images import Image, ensure, known, read, reference
from labgen.images import load as recipe
from labgen.kinds import KINDS
from labgen.machines import access
from labgen.machines import images as on_the_way
from labgen.machines.opened import Opened, opened
from labgen.machines.seen import seen
from labgen.model import Node
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.suggestions import near


@dataclass(frozen=True)
class Loaded:
    """:param nodes: by name; ``present``: nothing was missing there."""

    images: tuple[Image, ...]
    nodes: dict[str, Literal["loaded", "present"]]


def load(name: str, image: str, called: str | None, nodes: Sequence[str], progress: Progress) -> Loaded:
    """Brings an image to nodes of a running lab, in parallel; nodes that have it are skipped.

    :param image: one that labgen builds, or a file. :param called: a further name for the image.
    :param nodes: names; none means all that have Docker.
    :raises ImageError: the file does not contain an image, or the image cannot be built.
    :raises UsageError: there is no such image, lab or node, a node has no Docker, or the image would have no name.
    :raises GuestError: a node is not running, or does not answer. :raises ClusterError: its Docker refuses.
    """
    name_it = reference(called) if called else ""
    file = _file(image, progress)
    images = _named(read(file), file, name_it)
    with opened(name, progress, finished=True) as lab:
        chosen = _with_docker(lab, nodes)
        _require_running(lab, chosen)
        connect = {node.name: partial(lab.connect, node) for node in chosen}
        with access.entered(connect) as connections:
            load_on = partial(on_the_way.load, file, images, progress=lab.progress)
            changed = on_each(connections, load_on)
        return Loaded(
            tuple(images), {node: "loaded" if any_missing else "present" for node, any_missing in changed.items()}
        )


def listing(name: str, progress: Progress) -> list[on_the_way.Held]:
    """The images that the nodes of a lab have; nodes that are not running are named, and left out.

    :raises UsageError: there is no such lab. :raises GuestError: a node does not answer.
    """
    with seen(name) as (journal, hypervisor):
        lab = journal.lab
        states: dict[str, str] = {domain.name: domain.state for domain in hypervisor.domains(lab.prefix)}
        states |= dict.fromkeys(hypervisor.links.down(lab.prefix, lab.network), "cut off from the network")
    engines = [node for node in lab.nodes if KINDS[node.kind].has_docker]
    for node in engines:
        if states.get(node.domain) != "running":
            progress.note(f"{node.name} is {states.get(node.domain, 'missing')}: its images are not listed")
    running = {node.name: node for node in engines if states.get(node.domain) == "running"}
    return on_the_way.by_image(on_each(running, lambda node: on_the_way.present(access.target(lab, node))))


def _file(image: str, progress: Progress) -> Path:
    """A file with the image. One that labgen builds is built if this host does not have it."""
    for name in known():
        if image in {name, recipe(name).reference}:
            return ensure(name, progress).archive
    if Path(image).is_file():
        return Path(image)
    hint = near(image, known(), "images")
    raise UsageError(f"{image!r} is neither an image that labgen builds nor a file", hint, "labgen image list")


def _named(images: list[Image], file: Path, name: str) -> list[Image]:
    if name and len(images) > 1:
        names = ", ".join(each for image in images for each in image.names)
        raise UsageError(f"--as names one image, and {file} contains {len(images)}", names)
    if not name and any(not image.names for image in images):
        raise UsageError(f"the image in {file} has no name", resolution="Name it with: --as NAME:TAG")
    return [replace(image, names=(*image.names, name)) for image in images] if name else images


def _with_docker(lab: Opened, names: Sequence[str]) -> list[Node]:
    chosen = [access.find_node(lab.plan, name) for name in names]
    for node in chosen:
        if not KINDS[node.kind].has_docker:
            raise UsageError(f"{node.name} of {lab.plan.name!r} runs no Docker: it is of kind {node.kind}")
    return chosen or [node for node in lab.nodes if KINDS[node.kind].has_docker]


def _require_running(lab: Opened, nodes: Sequence[Node]) -> None:
    states = lab.states()
    if off := {node.name: state for node in nodes if (state := states.get(node.name, "missing")) != "running"}:
        told = "\n".join(f"{name}: {state}" for name, state in off.items())
        raise GuestError(f"not all nodes of {lab.plan.name!r} are running", told, f"labgen start {lab.plan.name}")
