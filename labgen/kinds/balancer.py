"""A load balancer: a machine outside the cluster, in front of it.

What it needs is in the box. Its configuration depends on what runs in the cluster; see
:mod:`labgen.machines.balancing`.
"""

from labgen.kinds.plain import Plain


class LoadBalancer(Plain):
    name = "balancer"
