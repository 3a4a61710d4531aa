"""What moving a lab to another host takes: seconds and bytes of each depth, compared with the raw disks.

    tests/vm/namespace .venv/bin/python -m benchmarks.handoff

Three nodes, Docker on btrfs, an image of some 80 MB on each. For comparison, the nodes' real changes are compressed
with zstd(1): their disks' files as stored by libvirt, the Docker disks and the root disks' overlays.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labgen.domain import docker_volume, root_volume
from labgen.records import journals

LAB = "bench"
LABGEN = [sys.executable, "-m", "labgen"]
IMAGE = "sudo tar -cP /usr/bin /usr/lib/x86_64-linux-gnu | docker import - filling >/dev/null && sync"


def labgen(*arguments: str) -> float:
    """:return: seconds."""
    start = time.monotonic()
    result = subprocess.run([*LABGEN, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"labgen {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
    for line in result.stderr.splitlines():
        if "stood still" in line or "boot from" in line:
            print(line)
    return time.monotonic() - start


def volume_sizes(directory: Path) -> tuple[int, int]:
    """Bytes of all disks' files, and of the same files compressed."""
    raw = compressed = 0
    for node in journals.load(LAB).lab.nodes:
        for volume in (root_volume(node), docker_volume(node)):
            copy = directory / "volume"
            command = ["virsh", "-q", "-c", "qemu:///system", "vol-download", "--pool", "labgen", volume, str(copy)]
            subprocess.run(command, check=True)
            raw += copy.stat().st_size
            packed = subprocess.run(["zstd", "-q", "-3", "-c", str(copy)], capture_output=True, check=True)
            compressed += len(packed.stdout)
            copy.unlink()
    return raw, compressed


def main() -> None:
    labgen("create", "three-node-btrfs", "--name", LAB)
    labgen("exec", LAB, "--", "sh", "-c", IMAGE)
    with tempfile.TemporaryDirectory(prefix="labgen-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        sizes = {}
        for title, options in {
            "recipe": ["--depth", "recipe"],
            "disks, without the box": ["--depth", "disks", "--exclude-box"],
            "disks": ["--depth", "disks"],
            "running": ["--depth", "running"],
        }.items():
            file = directory / f"{title}.labgen"
            taken = labgen("export", LAB, "-o", str(file), *options)
            sizes[title] = file.stat().st_size
            print(f"export, {title}: {taken:.1f} s, {sizes[title] / 2**20:.2f} MiB", flush=True)
        labgen("stop", LAB)
        raw, compressed = volume_sizes(directory)
        print(f"the disks as they lie in the pool: {raw / 2**20:.1f} MiB, with zstd -3 {compressed / 2**20:.1f} MiB")
        print(f"disks without the box take {sizes['disks, without the box'] / compressed:.2f} of that")
        for depth in ("disks", "running"):
            labgen("destroy", LAB, "--yes")
            print(f"import, {depth}: {labgen('import', str(directory / f'{depth}.labgen')):.1f} s", flush=True)
            print(f"first start, {depth}: {labgen('start', LAB):.0f} s", flush=True)
        for verb in (["suspend", LAB], ["resume", LAB], ["checkpoint", "save", LAB, "one"]):
            print(f"{' '.join(verb)}: {labgen(*verb):.1f} s", flush=True)
        print(f"checkpoint restore: {labgen('checkpoint', 'restore', LAB, 'one', '--yes'):.1f} s")
        labgen("destroy", LAB, "--yes")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    main()
