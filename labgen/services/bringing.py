"""Images on their way to nodes: from another node, or from this host."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from labgen import images
from labgen.machines import images as on_the_way
from labgen.parallel import on_each
from labgen.progress import Progress
from labgen.services.cluster import Cluster


def from_manager(image: str, places: Collection[str], there: Cluster, progress: Progress) -> None:
    """Brings an image that the manager has to other nodes, those that run. :param places: their names.

    :raises ClusterError: Docker refuses, or does not answer. :raises GuestError: a machine does not answer.
    """
    manager = there.manager.target.name
    others = {place: place for place in places if place in there.running and place != manager}
    if others:
        with _saved(image, there, progress) as file:
            load = partial(on_the_way.load, file, images.read(file), progress=progress)
            on_each(on_each(others, there.connection), load)


def own(name: str, places: Collection[str], there: Cluster, progress: Progress) -> str:
    """Brings an image that labgen builds from Debian's packages to nodes, after building it if necessary.

    :param name: its recipe's. :param places: the nodes' names. :return: the image's name.
    :raises ImageError: it cannot be built. :raises ClusterError: Docker refuses, or does not answer.
    """
    archive = images.ensure(name, progress).archive
    load = partial(on_the_way.load, archive, images.read(archive), progress=progress)
    on_each(on_each({place: place for place in places}, there.connection), load)
    return images.load(name).reference


@contextmanager
def _saved(image: str, there: Cluster, progress: Progress) -> Iterator[Path]:
    """The image in a file on this host."""
    progress.step("fetching the image", there.manager.target.name, stage="build-image")
    with tempfile.NamedTemporaryFile(prefix="labgen-", suffix=".tar") as file:
        for piece in there.engine.save_image(image):
            file.write(piece)
        file.flush()
        yield Path(file.name)
