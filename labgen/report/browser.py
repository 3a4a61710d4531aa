"""The browser that prints a page to PDF: the user's Chromium or Chrome, without a window, a network or a profile."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from labgen.errors import HostError
from labgen.surroundings import environment

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT = 120  # seconds; it takes about two
TAIL = 10  # lines of what it says
ROOT = 0
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pdf-header-footer",
    # Whatever a page might ask for, no name and no address leads anywhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
)


def find() -> str:
    """The path of the first that is on PATH. :raises HostError: none is."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise HostError(
        "a PDF is printed by a browser, and none is installed",
        f"not found on PATH: {', '.join(PROGRAMS)}",
        "Install one (sudo apt install chromium), or write .html, and print it where there is one.",
    )


def printed(page: str) -> bytes:
    """A page as PDF. :param page: HTML that loads nothing. :raises HostError: there is no browser, or it fails."""
    program = find()
    with tempfile.TemporaryDirectory(prefix="labgen-print-", ignore_cleanup_errors=True) as place:
        source, target = Path(place) / "report.html", Path(place) / "report.pdf"
        source.write_text(page)
        # Chromium's sandbox does not work for root. The page's own policy allows nothing but its own scripts.
        sandbox = ["--no-sandbox"] if os.geteuid() == ROOT else []
        profile = f"--user-data-dir={place}/profile"
        command = [program, *FLAGS, *sandbox, profile, f"--print-to-pdf={target}", source.as_uri()]
        status, said = _run(command, place)
        if status or not target.is_file():
            last = "\n".join(said.strip().splitlines()[-TAIL:])
            raise HostError(f"{program} has not printed the report (exit code {status})", last)
        return target.read_bytes()


def _run(command: list[str], home: str) -> tuple[int, str]:
    """:return: the exit code, and what it said on stderr. :raises HostError: it takes too long, and is ended.

    It has processes of its own, which end with it, whatever ends labgen's wait.
    """
    with subprocess.Popen(
        command,
        env=environment(HOME=home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, said = process.communicate(timeout=LIMIT)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise HostError(f"{command[0]} has not printed the report within {LIMIT} s") from error
            raise
        return process.returncode, said
