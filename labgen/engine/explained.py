"""What the docker SDK raises, as labgen's errors."""

import contextlib
from collections.abc import Iterator

import docker.errors
import requests.exceptions

from labgen.errors import ClusterError


@contextlib.contextmanager
def explained(name: str, doing: str) -> Iterator[None]:
    """:param name: the machine's. :raises ClusterError: its engine refuses, or does not answer."""
    try:
        yield
    except docker.errors.APIError as error:
        raise ClusterError(f"{name}: {doing} failed", str(error.explanation or error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise ClusterError(f"{name}: {doing} failed", str(error)) from error
