"""How long a create of three nodes takes, first and next, compared with a bare script and a Vagrantfile by hand.

    tests/vm/namespace .venv/bin/python -m benchmarks.create [--rounds N] [--without-by-hand]

All create the same lab, one after another, with the box present: three Debian machines, Docker on btrfs, a Swarm. The
next create, under another name, begins with the template that the first has kept.
Wall-clock seconds mean little on a busy host, whose speed changes within minutes: what counts is the ratios of
the sums over all rounds of one run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labgen import boxes
from labgen.host import accelerator
from labgen.progress import Silent
from labgen.vagrant import add_box

HERE = Path(__file__).parent
BOX = "debian13"
LAB = "bench"
LABGEN = [sys.executable, "-m", "labgen"]


def seconds(command: list[str], log: Path, **environment: str) -> float:
    start = time.monotonic()
    with log.open("w") as file:
        result = subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            check=False,
        )
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return time.monotonic() - start


def measured(title: str, work: Callable[[], float]) -> float:
    taken = work()
    print(f"{title}: {taken:.1f} s", flush=True)
    return taken


def labgen_create(name: str, directory: Path) -> float:
    taken = seconds([*LABGEN, "create", "three-node-btrfs", "--name", name], directory / "labgen.log")
    print((directory / "labgen.log").read_text())
    status = seconds([*LABGEN, "status", name], directory / "status.log")
    print(f"labgen status of the running lab: {status:.2f} s")
    seconds([*LABGEN, "destroy", name, "--yes"], directory / "destroy.log")
    return taken


def bare(directory: Path, box: boxes.Box, kind: str) -> float:
    """Until the last node is ready; includes the script's cleanup at the end, which takes less than a second."""
    own = tempfile.mkdtemp(prefix="bare-", dir=directory)
    return seconds([str(HERE / "bare-lab"), str(box.image), own], directory / "bare.log", ACCELERATOR=kind)


def by_hand(directory: Path, box: boxes.Box, kind: str) -> float:
    add_box(box.catalog)
    # A copy, because Vagrant keeps its records, and the script its key, next to the Vagrantfile.
    command = str(shutil.copytree(HERE / "by-hand", directory / "by-hand") / "lab")
    environment = {"BOX": box.vagrant_name, "ACCELERATOR": kind}
    taken = seconds([command, "up"], directory / "by-hand.log", **environment)
    seconds([command, "destroy"], directory / "by-hand-destroy.log", **environment)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-by-hand", action="store_true", help="leave the hand-written Vagrantfile out")
    parser.add_argument("--rounds", type=int, default=2, help="how often each but the hand-written one is measured")
    options = parser.parse_args()
    kind = accelerator.probe(Silent()).kind
    trimmed, stock = boxes.find(BOX), boxes.find(BOX, trimmed=False)
    if trimmed is None or (stock is None and not options.without_by_hand):
        sys.exit("the boxes are not built yet: make bench")
    with tempfile.TemporaryDirectory(prefix="labgen-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        add_box(trimmed.catalog)  # the box is present, for all of them
        first = warm = least = 0.0
        for _ in range(options.rounds):
            seconds([*LABGEN, "prune", "--cache", "--yes"], directory / "prune.log")
            first += measured("labgen create, the first", lambda: labgen_create(LAB, directory))
            warm += measured("labgen create, the next", lambda: labgen_create(f"{LAB}-again", directory))
            least += measured("bare script", lambda: bare(directory, trimmed, kind))
        print(f"the next create takes {warm / first:.2f} of the first")
        print(f"labgen create takes {first / least:.2f} of the bare script")
        if stock is not None and not options.without_by_hand:
            hand = measured("hand-written Vagrantfile", lambda: by_hand(directory, stock, kind))
            print(f"labgen create takes {first / options.rounds / hand:.2f} of the hand-written Vagrantfile")


if __name__ == "__main__":
    main()
