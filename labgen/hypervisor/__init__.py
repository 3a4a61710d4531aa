"""libvirt: the machines, networks and volumes on the host. The only importer of libvirt-python."""

from labgen import surroundings

surroundings.hide("LIBVIRT_")  # before the library is loaded, because it reads them then

from labgen.hypervisor.connection import Domain, DomainState, Hypervisor, LibvirtNetwork  # noqa: E402
from labgen.hypervisor.links import Link, Links  # noqa: E402
from labgen.hypervisor.overlays import Overlays  # noqa: E402
from labgen.hypervisor.pool import Pool  # noqa: E402

__all__ = ["Domain", "DomainState", "Hypervisor", "LibvirtNetwork", "Link", "Links", "Overlays", "Pool"]
