"""mmdebstrap: its progress, and the part of its output that shows why it failed."""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

PROGRAM = ("setpriv", "--pdeathsig", "TERM", "mmdebstrap")  # if labgen is killed, the build ends with it
MARK = "labgen: "  # before a hook's messages for users
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


def mode() -> str:
    """The option with which it works as root, or without root's permissions."""
    return "--mode=root" if os.geteuid() == 0 else "--mode=unshare"


def run(  # noqa: PLR0917 - as in subprocess
    argv: list[str],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    stages: Mapping[str, str],
    on_stage: Callable[[str], None],
) -> int:
    """Runs it to completion.

    :param log: for all of its output. :param stages: how lines begin that it prints when it starts something that
        takes a while, and the text that users see; in their order. :param on_stage: called with each, in words.
    :return: its exit status.
    """
    with (
        log.open("w", buffering=1) as file,
        subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            umask=0o022,  # applies to the directories that it creates
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
                if stage := _stage(line, stages):
                    on_stage(stage)
        except BaseException:
            process.terminate()  # mmdebstrap then removes its mounts and its root
            raise
    return process.returncode


def evidence(said: str, hooks: Iterable[str] = ()) -> str:
    """The last lines of its output that can show why it failed, without the hooks' source, which it repeats."""
    repeated = {line for hook in hooks for line in hook.splitlines()}
    lines = [line[:LINE] for line in said.splitlines() if line not in repeated and not line.startswith(CHATTER)]
    return "\n".join([line for line in lines if line.strip()][-EVIDENCE:])


def _stage(line: str, stages: Mapping[str, str]) -> str | None:
    for number, (beginning, words) in enumerate(stages.items(), start=1):
        if line.startswith(beginning):
            return f"{words} ({number} of {len(stages)})"
    return None
