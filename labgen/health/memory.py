"""Memory: how much is available, and whether the kernel has killed processes to free some."""

from labgen.health.base import Check, Seen, Verdict

EXHAUSTED, SCARCE = 5, 10  # per cent available; less than this fails, or warns


class Memory(Check):
    name = "memory"
    script = "grep -hE '^(MemTotal:|MemAvailable:|oom_kill )' /proc/meminfo /proc/vmstat"

    def judge(self, seen: Seen) -> Verdict:
        told = dict(line.split()[:2] for line in seen.said[self.name])
        available = 100 * int(told["MemAvailable:"]) / int(told["MemTotal:"])
        evidence = f"{available:.0f} % of {int(told['MemTotal:']) // 1024} MiB available"
        fix = seen.command("ps -eo rss,args --sort -rss")
        if available < SCARCE:
            return Verdict("fail" if available < EXHAUSTED else "warn", evidence, fix)
        if killed := int(told.get("oom_kill", 0)):
            evidence = f"{killed} processes killed since the boot because memory ran out"
            return Verdict("warn", evidence, seen.command("sudo journalctl -k -g 'Killed process'"))
        return Verdict("ok", evidence)
