"""The certificate by which the other nodes of a cluster know a node: Docker renews it, if the machine runs then."""

from datetime import UTC, datetime

from cryptography import x509

from labgen.health.base import Check, Seen, Verdict
from labgen.orchestrators import ORCHESTRATORS

FILES = [each.certificate for each in ORCHESTRATORS.values() if each.certificate]
LATE = 0.1  # the share of its life that is left; Docker renews it when a fifth to a half is


class Certificate(Check):
    name = "certificate"
    script = "\n".join(f"[ ! -e {file} ] || cat {file}" for file in FILES)

    def judge(self, seen: Seen) -> Verdict | None:
        if not seen.said[self.name]:
            return None  # in no cluster
        # The first in the file is the node's own; those that follow are its issuers'.
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
    """Docker renews an expired certificate only while the clock says that it is valid."""
    back = f"sudo sh -c 'date --set @{int(ends.timestamp()) - 3600} && systemctl restart docker && sleep 60'"
    return f"{seen.command(back)}; labgen start {seen.lab.name}"
