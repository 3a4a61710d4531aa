"""Several scripts run in a machine as root, one after another, in one login: under emulation, logins are slow."""

import io
import shlex
import tarfile
from collections.abc import Callable, Mapping, Sequence

from labgen.model import Step
from labgen.ssh.connection import Connection, Result

LIMIT = 600  # seconds that a script may be silent
MARK = "\x1e"  # before the name of each script in the output: ASCII's record separator
RUN = "run"
# As files, so that each can be in any language.
UNPACK = f'where=$(mktemp -d) && trap "rm -rf $where" EXIT && tar -xC "$where" && sh "$where/{RUN}" "$where"'


def run_all(
    connection: Connection,
    scripts: Mapping[str, str],
    steps: Sequence[Step],
    on_step: Callable[[str], None],
    on_line: Callable[[str], object],
) -> Result:
    """Runs scripts in order, up to the first that fails.

    A script has ended when its own process has, whatever it has left running in the background.

    :param scripts: the texts, by name. :param on_step: called with each script's name as it begins.
    :param on_line: called with each line of the output as it arrives.
    :return: its output has a line ``== NAME`` before each script's output, and includes errors.
    :raises GuestError: the connection broke, or there was no output for ten minutes.
    """

    def tell(line: str) -> None:
        if line.startswith(MARK):
            on_step(line.removeprefix(MARK))
        on_line(line.replace(MARK, "== "))

    command = ["sudo", "-n", "sh", "-c", UNPACK]
    result = connection.run(command, stdin=_archive(scripts, steps), limit=LIMIT, on_line=tell)
    return Result(result.status, result.stdout.replace(MARK, "== "), result.stderr)


def _archive(scripts: Mapping[str, str], steps: Sequence[Step]) -> bytes:
    lines = ["set -e"]
    for step in steps:
        name = shlex.quote(step.script)
        lines += [f"printf '{MARK}%s\\n' {name}", f'"$1"/{name} {shlex.join(step.arguments)} 2>&1']
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in {**scripts, RUN: "\n".join(lines) + "\n"}.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
