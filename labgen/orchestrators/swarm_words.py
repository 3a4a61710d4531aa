"""The networks that a Swarm uses in the machines, its advice for a profile, and its part of a handed-over lab."""

from collections.abc import Iterator

from labgen import paths

# Its overlay networks are cut from here, not from Docker's default 10.0.0.0/8, which contains labgen's own pool.
OVERLAY_POOL = "10.201.0.0/16"
CERTIFICATE = "/var/lib/docker/swarm/certificates/swarm-node.crt"
# A manager that was lost when the others began a new Swarm without it has nothing that the new one lacks.
# Docker does not start in a Swarm's node that has no address ("could not find local IP address"), and gives up after
# three attempts; whoever asks its socket meanwhile waits for ever.
DEPARTURE = """
for device in /sys/class/net/e*; do card=${device##*/}; done
ip address replace "$address" dev "$card" || exit
systemctl is-active --quiet docker.service || {
    systemctl reset-failed docker.service
    systemctl restart docker.service || exit
}
state=$(docker info --format '{{.Swarm.LocalNodeState}}') || exit
[ "$state" = inactive ] || docker swarm leave --force
"""
MOST_MANAGERS = 7  # Docker's own advice: every further manager slows each decision down


def advice(managers: int) -> Iterator[str]:
    """:param managers: how many a profile has."""
    if managers % 2 == 0:
        yield (
            f"{managers} managers tolerate the loss of {(managers - 1) // 2}, the same as {managers - 1}: "
            "a majority must remain, so choose an odd number"
        )
    if managers > MOST_MANAGERS:
        yield f"{managers} managers make every change to the cluster slower; {MOST_MANAGERS} are enough"


def handoff() -> str:
    """The end of a handed-over lab's ``up``."""
    script = paths.handoff_script("swarm").read_text().removeprefix("#!/bin/sh\n")
    return f"\npool={OVERLAY_POOL}\n{script}"
