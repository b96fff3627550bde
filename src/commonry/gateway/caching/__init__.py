"""The response cache: answers that a service allows to be kept are given again without asking it.

`rules` decides what may be kept and for whom, `entries` keeps it and forgets what has changed, `serving` answers.
Three layers: this process's memory, the cluster that all gateways share, the service itself.

Promises: what a person gets because of who they are is never kept; after a purge has returned, no request that begins
later gets an older answer; of many who ask for the same at once, one asks the service; a cache that is away is a miss.
"""
