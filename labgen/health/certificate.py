"""The certificate that identifies a node to its cluster. Docker renews it in time, if the machine is running then."""

from datetime import UTC, datetime

from cryptography import x509

from labgen.health.base import Check, Seen, Verdict
from labgen.orchestrators import ORCHESTRATORS

FILES = [each.certificate for each in ORCHESTRATORS.values() if each.certificate]
LATE = 0.1  # of its lifetime is left; Docker renews it when a fifth to a half is left


class Certificate(Check):
    name = "certificate"
    script = "\n".join(f"[ ! -e {file} ] || cat {file}" for file in FILES)

    def judge(self, seen: Seen) -> Verdict | None:
        if not seen.said[self.name]:
            return None  # not in a cluster
        # The first certificate in the file is the node's; the others are its issuers'.
        certificate = x509.load_pem_x509_certificate("\n".join(seen.said[self.name]).encode())
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        now = datetime.fromtimestamp(seen.clock, UTC)
        if now < begins:
            return Verdict("fail", f"valid only from {_date(begins)}", f"labgen start {seen.lab.name}")
        if now > ends:
            return Verdict("fail", f"expired on {_date(ends)}", _renewal(seen, ends))
        if ends - now < (ends - begins) * LATE:
            fix = seen.command("sudo systemctl restart docker")
            return Verdict("warn", f"expires on {_date(ends)}, and Docker has not renewed it", fix)
        return Verdict("ok", f"valid until {_date(ends)}")


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _renewal(seen: Seen, ends: datetime) -> str:
    """Commands that first set the clock back: Docker renews a certificate only while it is valid by the clock."""
    back = f"sudo sh -c 'date --set @{int(ends.timestamp()) - 3600} && systemctl restart docker && sleep 60'"
    return f"{seen.command(back)}; labgen start {seen.lab.name}"
