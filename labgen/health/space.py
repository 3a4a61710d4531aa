"""Free space on the machine's disks, and whether they are mounted and can be written."""

from collections.abc import Sequence

from labgen.health.base import Check, Seen, Verdict
from labgen.kinds import KINDS

DOCKER = "/var/lib/docker"
FULL, SCARCE = 5, 15  # per cent free; less than this fails, or warns


class Space(Check):
    name = "disk space"
    script = f"""
df -Pk / {DOCKER}
while read -r _ target _ options _; do
    case "$target $options" in "/ ro"* | "{DOCKER} ro"*) echo "read-only $target" ;; esac
done </proc/self/mounts
"""

    def judge(self, seen: Seen) -> Verdict:
        said = seen.said[self.name]
        free = dict(_free(line) for line in said[1:] if not line.startswith("read-only"))
        read_only = [line.split()[1] for line in said if line.startswith("read-only")]
        if read_only:
            fix = f"Find the cause: {seen.command('sudo dmesg')}"
            return Verdict("fail", f"mounted read-only: {' and '.join(read_only)}", fix)
        if DOCKER not in free and KINDS[seen.node.kind].has_docker:
            return Verdict("fail", f"nothing is mounted at {DOCKER}", seen.command(f"sudo mount {DOCKER}"))
        fullest = min(free, key=lambda target: free[target])
        evidence = _evidence(free)
        if free[fullest] >= SCARCE:
            return Verdict("ok", evidence)
        fix = seen.command("docker system df" if fullest == DOCKER else f"sudo du -xsh {fullest}var {fullest}home")
        return Verdict("fail" if free[fullest] < FULL else "warn", evidence, fix)


def _free(line: str) -> tuple[str, float]:
    """Reads a line of df's output: the mount point, and how much of it is free, in per cent."""
    fields: Sequence[str] = line.split()
    used, available = int(fields[2]), int(fields[3])
    return fields[5], 100 * available / max(used + available, 1)


def _evidence(free: dict[str, float]) -> str:
    return ", ".join(f"{target} has {share:.0f} % free" for target, share in free.items())
