"""Services that have failed."""

from labgen.health.base import Check, Seen, Verdict


class Units(Check):
    name = "services"
    script = "systemctl list-units --failed --plain --no-legend --no-pager"

    def judge(self, seen: Seen) -> Verdict:
        failed = [line.split()[0] for line in seen.said[self.name] if line.strip()]
        if not failed:
            return Verdict("ok", "none failed")
        return Verdict(
            "fail", f"failed: {', '.join(failed)}", seen.command(f"sudo systemctl status {' '.join(failed)}")
        )
