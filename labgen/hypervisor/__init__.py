"""libvirt: what exists on the host. The only importer of libvirt-python."""

from labgen.hypervisor.connection import Domain, DomainState, Hypervisor, LibvirtNetwork
from labgen.hypervisor.overlays import Overlays
from labgen.hypervisor.pool import Pool

__all__ = ["Domain", "DomainState", "Hypervisor", "LibvirtNetwork", "Overlays", "Pool"]
