"""The host that machines run on: the location of its libvirt, its capabilities, and the addresses in use.

Commands that open a lab get its host with it; the others use this machine, :data:`LOCAL`.
"""

from labgen.host.base import Host
from labgen.host.local import LocalHost

LOCAL: Host = LocalHost()

__all__ = ["LOCAL", "Host"]
