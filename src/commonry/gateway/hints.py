"""Gateways tell each other whom they have stopped asking, as a hint: whoever hears it looks for itself, at once.

A hint is never believed. A gateway that is cut off from a replica must not keep the others from it.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from commonry.kit.cache import Cache
from commonry.kit.replicas import Replicas

CHANNEL = "breaker-opened"
"""The message is the URL of a replica."""


def connect(services: Sequence[Replicas], cache: Cache, hedge_seconds: float) -> None:
    """Let these replicas hear what other gateways found, and tell what is found here."""
    tasks: set[asyncio.Task[None]] = set()

    def later(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def opened(url: str) -> None:
        later(cache.publish(CHANNEL, url, wait=False))

    def heard(url: str) -> None:
        for replicas in services:
            later(replicas.check(url))

    for replicas in services:
        replicas.opened, replicas.hedge_after = opened, hedge_seconds
    cache.subscribe(CHANNEL, heard)
