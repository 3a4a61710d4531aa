"""umoci and skopeo: from a tar of files to an image that an engine loads. Neither needs a daemon or root."""

import subprocess
from pathlib import Path

from labgen.errors import ImageError
from labgen.images.recipe import Recipe
from labgen.surroundings import environment

PROGRAMS = {"umoci": "umoci", "skopeo": "skopeo"}  # and their Debian packages
LIMIT = 600  # seconds for one call; compressing a large layer takes long on a slow host
EPOCH = "1970-01-01T00:00:00Z"  # the date of everything in an image, so that two builds are the same
_LAYOUT, _TAG = "layout", "image"


def archive(layer: Path, wanted: Recipe, target: Path) -> None:
    """Writes an image of one layer, with the recipe's name, as ``docker save`` does.

    :param layer: a tar of the image's files; its directory is used for the work.
    :raises ImageError: a program fails.
    """
    image = f"{_LAYOUT}:{_TAG}"
    scratch = layer.parent
    _run(scratch, "umoci", "init", f"--layout={_LAYOUT}")
    _run(scratch, "umoci", "new", f"--image={image}")
    _run(scratch, "umoci", "raw", "add-layer", f"--image={image}", f"--history.created={EPOCH}", layer.name)
    config = [
        *(f"--config.entrypoint={word}" for word in wanted.entrypoint),
        *(f"--config.exposedports={port}/tcp" for port in wanted.ports),
        f"--config.env=VERSION={wanted.version}",
        f"--config.user={wanted.user}",
        *([f"--config.stopsignal={wanted.stop_signal}"] if wanted.stop_signal else []),
        "--architecture=amd64",
        f"--created={EPOCH}",
        f"--history.created={EPOCH}",
    ]
    _run(scratch, "umoci", "config", f"--image={image}", *config)
    # Its policy is about whose images from registries are trusted, and a host need not have one.
    copy = ("skopeo", "--insecure-policy", "copy", "--quiet")
    _run(scratch, *copy, f"oci:{image}", f"docker-archive:{target}:{wanted.reference}")


def _run(directory: Path, *argv: str) -> None:
    try:
        subprocess.run(
            argv,
            cwd=directory,
            env=environment(TMPDIR=str(directory)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=LIMIT,
        )
    except subprocess.CalledProcessError as error:
        raise ImageError(f"{argv[0]} failed", error.stderr or error.stdout) from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{argv[0]} did not finish within {LIMIT} s", " ".join(argv)) from error
