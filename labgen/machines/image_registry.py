"""A lab's own image registry: started on one node, trusted by all that have Docker.

Its CA is made in that node by ``scripts/guest/certificate.sh``, and belongs to this lab only.
"""

from collections.abc import Mapping

from labgen import paths, ssh
from labgen.errors import GuestError
from labgen.files import write_atomically
from labgen.machines.provision import provision
from labgen.model import Lab, Step
from labgen.parallel import on_each
from labgen.plan import CERTIFICATE, REGISTRY, TRUST, trusting
from labgen.progress import Progress

CERTIFICATES = "/etc/labgen/registry"  # on the registry's node
KEY_GROUP = "docker-registry"  # whom the key is for
ANSWER_LIMIT = 20  # seconds


def set_up(lab: Lab, connections: Mapping[str, ssh.Connection], progress: Progress, *, renew: bool) -> bool:
    """Starts the registry unless it runs, and lets each node trust it that does not yet.

    :param connections: to all nodes, by name. :param renew: others may know the registry's key: make another CA.
    :return: whether anything had to be done. :raises GuestError: it does not start.
    """
    owner, place = connections[lab.registry], lab.registry_name
    runs = not renew and _answers(owner, place)
    if not runs:
        node = lab.node(lab.registry)
        names = (node.name, node.address, *(["new"] if renew else []))
        certificate = Step(CERTIFICATE, (CERTIFICATES, KEY_GROUP, f"labgen CA of {place}", *names))
        provision(lab, node, owner, progress, [certificate, Step(REGISTRY, (place,))])
    authority = _trusted(owner, place)
    if not authority:
        raise GuestError(
            f"{lab.registry} has no certificate of its image registry",
            certificate_file(place),
            f"To make another: labgen exec {lab.name} --node {lab.registry} -- sudo rm -r {CERTIFICATES}; "
            f"labgen start {lab.name}",
        )
    write_atomically(paths.lab(lab.name) / paths.REGISTRY_CA, f"{authority}\n", 0o644)
    others = {node.name: connections[node.name] for node in trusting(lab)}
    known = on_each(others, lambda each: _trusted(each, place))
    lacking = {name: others[name] for name, trusted in known.items() if trusted != authority}

    def trust(other: ssh.Connection) -> None:
        provision(lab, lab.node(other.target.name), other, progress, [Step(TRUST, (place, authority))])

    on_each(lacking, trust)
    return not runs or bool(lacking)


def certificate_file(place: str) -> str:
    """The file in a machine by which its Docker knows the registry. :param place: the registry's name and port."""
    return f"/etc/docker/certs.d/{place}/labgen.crt"


def _answers(connection: ssh.Connection, place: str) -> bool:
    """Whether the registry answers on its own machine, with a certificate that Docker there trusts."""
    options = ["--silent", "--fail", "--output", "/dev/null", "--max-time", str(ANSWER_LIMIT)]
    command = ["curl", *options, "--cacert", certificate_file(place), f"https://{place}/v2/"]
    return connection.run(command).status == 0


def _trusted(connection: ssh.Connection, place: str) -> str:
    """The certificate (PEM) of the CA that a machine trusts for the registry; empty: none."""
    result = connection.run(["cat", certificate_file(place)])
    return result.stdout.strip() if result.status == 0 else ""
