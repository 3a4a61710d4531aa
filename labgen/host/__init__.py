"""The host that machines run on: where its libvirt is, what it can do, whose addresses are whose.

Verbs that open a lab get its host with it; the others are about this machine, :data:`LOCAL`.
"""

from labgen.host.base import Host
from labgen.host.local import LocalHost

LOCAL: Host = LocalHost()

__all__ = ["LOCAL", "Host"]
