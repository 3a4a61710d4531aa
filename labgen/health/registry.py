"""The lab's image registry, as this machine's Docker would reach it: with the certificate that it trusts."""

from labgen.health.base import Check, Seen, Verdict
from labgen.kinds import KINDS

LIMIT = 15  # seconds
ANSWERS = "200"


class Registry(Check):
    name = "registry"
    script = f"""
for file in /etc/docker/certs.d/*/labgen.crt; do
    [ -e "$file" ] || continue
    place=${{file%/*}}
    curl --silent --show-error --output /dev/null --write-out '%{{http_code}}\\n' --max-time {LIMIT} \
        --cacert "$file" "https://${{place##*/}}/v2/" 2>&1
done
"""

    def judge(self, seen: Seen) -> Verdict | None:
        if not seen.lab.registry or not KINDS[seen.node.kind].has_docker:
            return None
        said = seen.said[self.name]
        name, fix = seen.lab.registry_name, f"labgen start {seen.lab.name}"
        if not said:
            return Verdict("fail", f"Docker does not trust {name}", fix)
        *trouble, status = said
        if status != ANSWERS:
            why = " ".join(trouble) or f"HTTP status {status}"
            return Verdict("fail", f"{name} does not answer: {why}", fix)
        return Verdict("ok", f"{name} answers")
