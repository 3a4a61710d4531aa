"""Images on their way to a machine's Docker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labgen import engine, ssh
from labgen.images import Image
from labgen.machines import access
from labgen.progress import Amount, Progress
from labgen.ssh import Connection

LOAD_LIMIT = 900  # seconds without an answer from the engine, which unpacks the layers after the last byte
PIECE = 2**20  # bytes


@dataclass(frozen=True)
class Held:
    """An image in a lab.

    :param names: with tags; may be empty. :param size: in bytes, unpacked. :param nodes: those that have it.
    """

    id: str
    names: tuple[str, ...]
    size: int
    nodes: tuple[str, ...]


def load(file: Path, images: Sequence[Image], connection: Connection, progress: Progress) -> bool:
    """Brings images to a machine, unless its Docker has them already by all their names.

    :param file: contains them, see :mod:`labgen.images.archive`. :return: whether anything was missing.
    :raises ClusterError: Docker refuses it, or does not answer.
    """
    node = connection.target.name
    with engine.connect(connection, LOAD_LIMIT) as docker:
        missing = {image.id for image in images} - _present(docker).keys()
        if missing:
            docker.load_images(_pieces(file, node, progress))
        present = _present(docker)
        unnamed = [
            (image.id, name) for image in images for name in image.names if name not in present.get(image.id, ())
        ]
        for image_id, name in unnamed:
            docker.name_image(image_id, name)
    changed = bool(missing or unnamed)
    progress.done("image loaded" if changed else "has the image already", node, stage="load-image")
    return changed


def present(target: ssh.Target) -> list[engine.EngineImage]:
    """The images that a machine's Docker has. :raises GuestError: the machine does not answer."""
    with ssh.Connection.open(target, access.LOGIN_LIMIT) as connection, engine.connect(connection) as docker:
        return docker.images()


def by_image(found: Mapping[str, Sequence[engine.EngineImage]]) -> list[Held]:
    """The images of several nodes, by name; those without a name come last. :param found: by node name."""
    held: dict[str, Held] = {}
    for node, images in found.items():
        for image in images:
            so_far = held.get(image.id, Held(image.id, (), image.size, ()))
            names = tuple(dict.fromkeys((*so_far.names, *image.names)))
            held[image.id] = replace(so_far, names=names, nodes=(*so_far.nodes, node))
    return sorted(held.values(), key=lambda each: (not each.names, each.names))


def _present(docker: engine.Engine) -> dict[str, tuple[str, ...]]:
    """The names of the images that the engine has, by id."""
    return {image.id: image.names for image in docker.images()}


def _pieces(file: Path, node: str, progress: Progress) -> Iterator[bytes]:
    amount = Amount("sending the image", file.stat().st_size, progress, node, stage="send-image")
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece
            amount.more(len(piece))
    progress.step("unpacking the image", node, stage="unpack-image")
