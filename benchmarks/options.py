"""What each of the kernel's options for emulated machines saves: the same box with all of them, and without each.

    sudo python benchmarks/options.py [--rounds N] [OPTION...]      # in a network namespace

Boots the trimmed box like benchmarks/boot.py --direct, once with every option and once without each in turn
(or only without those named), for N rounds. Prints wall-clock seconds and the CPU seconds that QEMU used: to SSH, to
Docker on btrfs, for ten calls of iptables, for ten of "docker ps", and for the same once addresses are randomised
in a kernel that was started without it (norandmaps).
"""

import argparse
import json
from itertools import pairwise

from boot import DOCKER, PLAIN, booted

from labgen import boxes
from labgen.boxes import Box

RANDOMISED = "echo 2 >/proc/sys/kernel/randomize_va_space"
CALLS = {
    "10 iptables": "for i in 0 1 2 3 4 5 6 7 8 9; do iptables -L -n; done",
    "10 docker ps": "for i in 0 1 2 3 4 5 6 7 8 9; do docker ps; done",
    "10 iptables, randomised": f"{RANDOMISED}; for i in 0 1 2 3 4 5 6 7 8 9; do iptables -L -n; done",
    "10 docker ps, randomised": "for i in 0 1 2 3 4 5 6 7 8 9; do docker ps; done",
}


def measure(box: Box, append: str) -> dict[str, tuple[float, float]]:
    with booted(box, append) as machine:
        spent = [(0.0, 0.0), machine.spent()]
        for script in [DOCKER.format(daemon=json.dumps(PLAIN)), *CALLS.values()]:
            quoted = script.replace("'", "'\\''")
            machine.ssh(f"sudo sh -c '{quoted}'")
            spent.append(machine.spent())
    goals = ["boot to SSH", "Docker on btrfs", *CALLS]
    return {
        goal: (after[0] - before[0], after[1] - before[1])
        for goal, (before, after) in zip(goals, pairwise(spent), strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("options", nargs="*", metavar="OPTION", help="leave out only these, one after the other")
    parser.add_argument("--box", default="debian13")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    box = boxes.find(chosen.box)
    if not box:
        raise SystemExit(f"the box is not built: labgen box build {chosen.box}")
    every = box.emulated.split()
    if unknown := set(chosen.options) - set(every):
        raise SystemExit(f"not among the box's options ({box.emulated}): {' '.join(sorted(unknown))}")
    for _ in range(chosen.rounds):
        for without in ["", *(chosen.options or every)]:
            append = " ".join([box.cmdline, *(option for option in every if option != without)])
            for goal, (wall, cpu) in measure(box, append).items():
                print(f"{'without ' + without if without else 'all':36} {goal:26} {wall:6.1f} s  {cpu:6.1f} CPU s",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
