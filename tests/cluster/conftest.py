"""Caches over a real Redis Cluster, and ways to wait for what must become true."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from commonry.kit.cache import MemoryCache
from commonry.kit.cluster import ClusterCache, connect
from tests.redis_cluster import RedisCluster
from tests.users.conftest import db, url  # noqa: F401 why: the users service's database, for the sessions' tests

Join = Callable[..., Awaitable[ClusterCache]]


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """Connects one more cache, closed at the end: `await join(cluster)` waits until it is in touch."""
    made: list[ClusterCache] = []

    async def connected(cluster: RedisCluster | str, *channels: str, ready: bool = True) -> ClusterCache:
        cache = await connect(cluster if isinstance(cluster, str) else cluster.url)
        made.append(cache)
        cache.listener = Listener(cache, *channels)
        if ready:
            await eventually(cache.in_touch, "the cache is in touch")
        return cache

    yield connected
    for cache in made:
        await cache.close()


@pytest.fixture(params=["memory", "cluster"])
async def cache(request: pytest.FixtureRequest, join: Join) -> Any:
    """One of each kind."""
    if request.param == "memory":
        return MemoryCache()
    return await join(request.getfixturevalue("redis_cluster"))


class Listener:
    """What was heard on a cache's channels, and how often some of it may have been missed."""

    def __init__(self, cache: Any, *channels: str) -> None:
        self.heard: list[str] = []
        self.epochs: list[int] = []
        self.missed = 0
        for channel in channels:
            cache.subscribe(channel, lambda message: self._hear(cache, message), self._miss)

    def _hear(self, cache: Any, message: str) -> None:
        self.heard.append(message)
        self.epochs.append(cache.epoch)

    def _miss(self) -> None:
        self.missed += 1


async def eventually(condition: Callable[[], Any], what: str, *, seconds: float = 10.0) -> None:
    """Wait until the condition holds; it may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


async def known(*caches: ClusterCache) -> None:
    """Wait until the cluster is sure who is there, so that a message is acknowledged rather than waited out."""

    async def quick() -> bool:
        started = time.monotonic()
        await caches[0].publish("known", "")
        return time.monotonic() - started < 0.3

    await eventually(quick, "messages are acknowledged")
