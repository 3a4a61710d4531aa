"""mmdebstrap: its command line, its progress, and the part of its output that shows why it failed."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from labgen.boxes.recipe import Recipe

MARK = "labgen: "  # before a hook's messages for users
# How mmdebstrap's output lines begin when it starts something that takes a while, and the text that users see.
STAGES = {
    "I: running apt-get update": "fetching the package lists",
    "I: downloading packages": "downloading packages",
    "I: extracting archives": "unpacking the essential packages",
    "I: installing essential packages": "installing the essential packages",
    "I: installing remaining packages": "installing the kernel, Docker and the rest",
    "I: running special hook: tar-in": "configuring the system",
    f"{MARK}image": "making the disk image",
}
EVIDENCE = 20  # lines of the output that an error shows
LINE = 200  # characters of each; apt's command line alone has a thousand
# How apt's output lines begin when all is well.
CHATTER = (
    "I: ",
    "Ign:",
    "Get:",
    "Hit:",
    "Fetched ",
    "Reading ",
    "Building dependency tree",
    "Preparing ",
    "Selecting ",
)


def command(wanted: Recipe) -> list[str]:
    """The complete command line. Hooks are passed as text, so that no path has to be readable in its namespace."""
    return [
        # If labgen is killed, the build ends with it.
        *("setpriv", "--pdeathsig", "TERM"),
        "mmdebstrap",
        "--mode=root" if os.geteuid() == 0 else "--mode=unshare",
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
        f"--customize-hook=echo '{MARK}image'",
        f"--customize-hook={wanted.image_hook}",
        "--customize-hook=copy-out /run/labgen/out .",
        wanted.suite,
        "/dev/null",
    ]


def run(
    argv: list[str], directory: Path, environment: Mapping[str, str], log: Path, on_stage: Callable[[str], None]
) -> int:
    """Runs it to completion. :param log: for all of its output. :param on_stage: called with each stage, in words.

    :return: its exit status.
    """
    with (
        log.open("w", buffering=1) as file,
        subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            umask=0o022,  # applies to the box's own directories
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout  # noqa: S101 - a pipe was asked for
        try:
            for line in process.stdout:
                file.write(line)
                if stage := _stage(line):
                    on_stage(stage)
        except BaseException:
            process.terminate()  # mmdebstrap then removes its mounts and its root
            raise
    return process.returncode


def evidence(said: str, wanted: Recipe) -> str:
    """The last lines of its output that can show why it failed, without the hooks' source, which it repeats."""
    hooks = [layer.hook for layer in wanted.layers if layer.hook] + [wanted.image_hook]
    repeated = {line for hook in hooks for line in hook.splitlines()}
    lines = [line[:LINE] for line in said.splitlines() if line not in repeated and not line.startswith(CHATTER)]
    return "\n".join([line for line in lines if line.strip()][-EVIDENCE:])


def _stage(line: str) -> str | None:
    for number, (beginning, words) in enumerate(STAGES.items(), start=1):
        if line.startswith(beginning):
            return f"{words} ({number} of {len(STAGES)})"
    return None
