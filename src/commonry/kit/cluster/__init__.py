"""The cache that processes share: a Redis Cluster, and the bus of numbered messages over it.

`connect` is all that others need. It comes in as late as possible: only where a URL is set, as the driver takes 0.3 s.
"""

from commonry.kit.cluster.cache import ClusterCache, connect

__all__ = ["ClusterCache", "connect"]
