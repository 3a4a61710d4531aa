"""Images on their way to a machine's Docker."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from labgen import engine
from labgen.images import Image
from labgen.progress import Amount, Progress
from labgen.ssh import Connection

LOAD_LIMIT = 900  # seconds without a word of the engine, which unpacks the layers after the last byte
PIECE = 2**20  # bytes


def load(file: Path, images: Sequence[Image], connection: Connection, progress: Progress) -> bool:
    """Brings images to a machine unless its Docker has them already, by all their names.

    :param file: that has them, see :mod:`labgen.images.archive`. :return: whether anything was missing.
    :raises ClusterError: Docker refuses it, or does not answer.
    """
    node = connection.target.name
    with engine.connect(connection, LOAD_LIMIT) as docker:
        lacking = _lacking(docker, images)
        if any(image.id not in {each.id for each in docker.images()} for image in lacking):
            docker.load_images(_pieces(file, node, progress))
            lacking = _lacking(docker, images)
            changed = True
        else:
            changed = bool(lacking)
        for image in lacking:
            for name in image.names:
                docker.name_image(image.id, name)
    progress.done("image loaded" if changed else "has the image already", node, stage="load-image")
    return changed


def _lacking(docker: engine.Engine, images: Sequence[Image]) -> list[Image]:
    """The images that the engine does not have, with those of their names that it does not have."""
    present = {image.id: set(image.names) for image in docker.images()}
    wanted = [
        replace(image, names=tuple(name for name in image.names if name not in present.get(image.id, ())))
        for image in images
    ]
    return [image for image in wanted if image.names or image.id not in present]


def _pieces(file: Path, node: str, progress: Progress) -> Iterator[bytes]:
    amount = Amount("loading the image", file.stat().st_size, progress, node, stage="load-image")
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece
            amount.more(len(piece))
