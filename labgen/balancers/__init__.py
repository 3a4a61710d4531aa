"""The programs that a lab's load balancers can run."""

from labgen.balancers.base import ABILITIES, Backend, Frontend, Health, Pool, Program, Site
from labgen.balancers.haproxy import Haproxy
from labgen.balancers.nftables import Nftables
from labgen.balancers.nginx import Nginx

BALANCERS: dict[str, Program] = {
    "haproxy": Haproxy(),
    "nftables": Nftables(),
    "nginx": Nginx(),
}

__all__ = ["ABILITIES", "BALANCERS", "Backend", "Frontend", "Health", "Pool", "Program", "Site"]
