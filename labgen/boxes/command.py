"""The mmdebstrap command that builds a box."""

from labgen import mmdebstrap
from labgen.boxes.recipe import Recipe

# How mmdebstrap's output lines begin when it starts something that takes a while, and the text that users see.
STAGES = {
    "I: running apt-get update": "fetching the package lists",
    "I: downloading packages": "downloading packages",
    "I: extracting archives": "unpacking the essential packages",
    "I: installing essential packages": "installing the essential packages",
    "I: installing remaining packages": "installing the kernel, Docker and the rest",
    "I: running special hook: tar-in": "configuring the system",
    f"{mmdebstrap.MARK}image": "making the disk image",
}


def command(wanted: Recipe) -> list[str]:
    """The complete command line. Hooks are passed as text, so that no path has to be readable in its namespace."""
    return [
        *mmdebstrap.PROGRAM,
        mmdebstrap.mode(),
        "--variant=minbase",
        "--architectures=amd64",
        "--components=" + ",".join(wanted.components),
        "--include=" + ",".join(wanted.packages),
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--customize-hook=tar-in files.tar /",
        *(f"--customize-hook={layer.hook}" for layer in wanted.layers if layer.hook),
        f"--customize-hook=echo '{mmdebstrap.MARK}image'",
        f"--customize-hook={wanted.image_hook}",
        "--customize-hook=copy-out /run/labgen/out .",
        wanted.suite,
        "/dev/null",
    ]


def hooks(wanted: Recipe) -> list[str]:
    """The text of all its hooks, in their order."""
    return [*(layer.hook for layer in wanted.layers if layer.hook), wanted.image_hook]
