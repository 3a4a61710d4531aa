"""The command line in a separate process, with libvirt's test driver: for tests of a process's surroundings."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unit.commands import Ran

# The driver is in the process's memory; the pool's directory belongs to nobody.
PROGRAM = """
import sys
from pathlib import Path
from labgen.host.local import LocalHost
from labgen.model import Libvirt
LocalHost.libvirt = Libvirt("test:///default", "labgen", Path("/nonexistent"))
sys.argv[0] = "labgen"
from labgen.cli import main
main()
"""


def process(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    shell: str = 'exec "$@"',
    prefix: Sequence[str] = (),
    directory: Path = Path("/"),
) -> Ran:
    """Runs labgen.

    :param environment: the complete one. :param shell: runs ``"$@"``, with any commands around it.
    :param prefix: a program that runs the shell, for example as another user.
    """
    done = subprocess.run(
        [*prefix, "/bin/sh", "-c", shell, "sh", sys.executable, "-c", PROGRAM, *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def ordinary(home: Path) -> dict[str, str]:
    """The environment of a user with that home."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8"}
