"""The promise that others build upon: after an acknowledged write, no read that starts later returns the older version.

A small model of who relies on it: a writer who changes one number and publishes before it acknowledges, and readers in
other processes who keep what they read, by the rules of `kit.cache`.
"""

import asyncio
import random
import signal
import time

import pytest

from commonry.kit.cluster import scripts
from tests.cluster.conftest import eventually, known

pytestmark = pytest.mark.faults


class World:
    """The truth, what was acknowledged of it, and how often a reader was wrong."""

    def __init__(self) -> None:
        self.truth = self.acknowledged = self.wrong = self.reads = self.kept = 0
        self.going = True


class Reader:
    """Keeps the last answer while nothing says that it changed."""

    def __init__(self, world: World, cache) -> None:
        self.world, self.cache = world, cache
        self.kept: int | None = None
        self.floor = 0
        cache.subscribe("changed", lambda _: self.forget(), self.forget)

    def forget(self) -> None:
        self.kept, self.floor = None, self.cache.epoch

    async def read(self) -> int:
        if self.kept is not None and self.cache.in_touch():
            self.world.kept += 1
            return self.kept
        epoch, value = self.cache.epoch, self.world.truth
        await asyncio.sleep(random.uniform(0, 0.01))
        if epoch >= self.floor:
            self.kept = value
        return value

    async def keep_reading(self) -> None:
        while self.world.going:
            least = self.world.acknowledged
            self.world.wrong += await self.read() < least
            self.world.reads += 1
            await asyncio.sleep(0.001)


async def keep_writing(world: World, cache, *, wait: bool) -> None:
    while world.going:
        world.truth += 1
        version = world.truth
        await cache.publish("changed", "", wait=wait)
        world.acknowledged = max(world.acknowledged, version)
        await asyncio.sleep(random.uniform(0, 0.02))


async def watched(cluster, join, fault, *, wait: bool) -> World:
    """A world with two readers and two writers, in which `fault` happens, until all is well again."""
    caches = [await join(cluster) for _ in range(3)]
    world = World()
    readers = [Reader(world, cache) for cache in caches[:2]]
    await eventually(lambda: all(c.in_touch() for c in caches), "in touch")
    await known(*caches)
    tasks = [asyncio.create_task(reader.keep_reading()) for reader in readers for _ in range(3)]
    tasks += [asyncio.create_task(keep_writing(world, cache, wait=wait)) for cache in caches[1:]]
    try:
        await eventually(lambda: world.acknowledged > 20, "it has begun")
        await fault(cluster)
        before = world.acknowledged
        await eventually(lambda: all(c.in_touch() for c in caches), "in touch again")
        await eventually(lambda: world.acknowledged > before + 20, "writes go on")
    finally:
        world.going = False
        await asyncio.gather(*tasks)
    assert world.reads > 100
    assert world.kept > 50, "they do remember, or it would prove nothing"
    return world


async def kill(cluster) -> None:
    """Its replica takes over, and does not know all."""
    cluster.node_of(scripts.BUS).kill()
    dead = time.monotonic()
    await eventually(lambda: time.monotonic() - dead > 4, "the replica has taken over")


async def stop(cluster) -> None:
    """Shorter than the cluster's own patience, again and again."""
    node = cluster.node_of(scripts.BUS)
    for seconds in (0.3, 0.6, 0.8):
        node.running.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        node.running.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.5)


async def flush(cluster) -> None:
    for _ in range(5):
        await asyncio.to_thread(cluster.flush)


@pytest.mark.parametrize("fault", [kill, stop, flush])
async def test_no_reader_returns_what_is_older_than_an_acknowledged_write(request, join, fault):
    cluster = request.getfixturevalue("own_redis_cluster" if fault is kill else "redis_cluster")
    world = await watched(cluster, join, fault, wait=True)
    assert world.wrong == 0


async def test_without_acknowledgements_readers_are_wrong(redis_cluster, join):
    """The negative control: a message that is held up comes after the answer to whoever sent it."""
    world = await watched(redis_cluster, join, stop, wait=False)
    assert world.wrong > 0


async def test_a_publisher_waits_a_whole_lease_when_it_cannot_know_who_is_there(redis_cluster, join):
    one, two = await join(redis_cluster, "c"), await join(redis_cluster, "c")
    await known(one, two)
    missed, two._on_message = two.listener.missed, lambda *_: None
    names = [scripts.BUS, scripts.listeners("c")]
    redis_cluster.node_of(scripts.BUS).say("del", *names)
    await one.publish("c", "m")
    assert two.listener.missed > missed or not two.in_touch()
