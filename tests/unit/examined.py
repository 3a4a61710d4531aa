"""The output of the checks' scripts in a healthy machine."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labgen.health.examination import MARK
from labgen.model import Node

LIFE = timedelta(days=90)  # like Docker's certificates


def well(node: Node, command: Sequence[str]) -> dict[str, list[str]]:
    """The output by the checks' names. :param command: the command that was run in the machine."""
    return {
        "certificate": certificate(datetime.now(UTC) - timedelta(hours=1)).splitlines(),
        "disk space": [
            "Filesystem     1024-blocks    Used Available Capacity Mounted on",
            "/dev/vda1         10229676 1100000   8600000      12% /",
            "/dev/vdb          10485760  200000   9800000       2% /var/lib/docker",
        ],
        "memory": ["MemTotal:        1000000 kB", "MemAvailable:     700000 kB", "oom_kill 0"],
        "services": [],
        "addresses": [
            node.name,
            f"eth0 {node.mac}",
            "lo 00:00:00:00:00:00",
            "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever",
            f"2: eth0    inet {node.address}/24 brd 10.77.0.255 scope global dynamic eth0\\   valid_lft 1",
        ],
        "reachability": list(command[command.index("examine") + 1 :]),
    }


def answer(command: Sequence[str], clock: float, said: Mapping[str, Sequence[str]]) -> str:
    """The output of the one check script that the command runs."""
    script = command[command.index("examine") - 1]
    names = [name.strip("'") for name in re.findall(rf"^printf '{MARK}%s\\n' (.*)$", script, re.MULTILINE)]
    return f"{clock}\n" + "".join("\n".join([MARK + name, *said.get(name, [])]) + "\n" for name in names)


def certificate(begins: datetime) -> str:
    """A node's certificate as Docker creates it, in PEM form."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-node")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + LIFE)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()
