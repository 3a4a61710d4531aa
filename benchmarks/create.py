"""How long a create of three nodes takes, the first and the next, beside a bare script and a Vagrantfile by hand.

    tests/vm/namespace .venv/bin/python -m benchmarks.create [--without-by-hand]

All make the same lab, one after the other, the box present: three Debian machines, Docker on btrfs, a Swarm. The next
create, under another name, begins with the template that the first has kept.
Wall-clock seconds mean little on a busy host; the ratios, measured in one run, are what counts.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labgen import accelerator, boxes
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


def labgen_create(name: str, directory: Path) -> float:
    taken = seconds([*LABGEN, "create", "three-node-btrfs", "--name", name], directory / "labgen.log")
    print((directory / "labgen.log").read_text())
    status = seconds([*LABGEN, "status", name], directory / "status.log")
    print(f"labgen status of the running lab: {status:.2f} s")
    seconds([*LABGEN, "destroy", name, "--yes"], directory / "destroy.log")
    return taken


def bare(directory: Path, box: boxes.Box, kind: str) -> float:
    """Until the last node is ready; what the script removes at its end counts too, and takes under a second."""
    command = [str(HERE / "bare-lab"), str(box.image), str(directory / "bare")]
    return seconds(command, directory / "bare.log", ACCELERATOR=kind)


def by_hand(directory: Path, box: boxes.Box, kind: str) -> float:
    add_box(box.catalog)
    # A copy: Vagrant keeps its records, and the script its key, beside the Vagrantfile.
    command = str(shutil.copytree(HERE / "by-hand", directory / "by-hand") / "lab")
    environment = {"BOX": box.vagrant_name, "ACCELERATOR": kind}
    taken = seconds([command, "up"], directory / "by-hand.log", **environment)
    seconds([command, "destroy"], directory / "by-hand-destroy.log", **environment)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-by-hand", action="store_true", help="leave the hand-written Vagrantfile out")
    options = parser.parse_args()
    kind = accelerator.probe(Silent()).kind
    trimmed, stock = boxes.find(BOX), boxes.find(BOX, trimmed=False)
    if trimmed is None or (stock is None and not options.without_by_hand):
        sys.exit("the boxes are not built yet: make bench")
    with tempfile.TemporaryDirectory(prefix="labgen-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        add_box(trimmed.catalog)  # the box is present, for everybody
        seconds([*LABGEN, "prune", "--cache", "--yes"], directory / "prune.log")
        ours = labgen_create(LAB, directory)
        print(f"labgen create, the first: {ours:.0f} s")
        warm = labgen_create(f"{LAB}-again", directory)
        print(f"labgen create, the next: {warm:.1f} s, {warm / ours:.2f} of the first")
        least = bare(directory, trimmed, kind)
        print(f"bare script: {least:.0f} s; labgen create takes {ours / least:.2f} of it")
        if stock is not None and not options.without_by_hand:
            hand = by_hand(directory, stock, kind)
            print(f"hand-written Vagrantfile: {hand:.0f} s; labgen create takes {ours / hand:.2f} of it")


if __name__ == "__main__":
    main()
