"""Every method of `Cache`, over memory and over a cluster: the same promises."""

import asyncio
import time
from uuid import uuid4

import pytest

from commonry.kit.cluster.link import parse
from commonry.kit.rates import Buckets, Limit
from tests.cluster.conftest import Listener, eventually


def unique() -> str:
    return uuid4().hex


async def test_what_was_put_is_there_until_it_is_dropped(cache):
    key, other = unique(), unique()
    assert await cache.get(key) is None
    await cache.put(key, b"\0\xff one", ttl=60)
    await cache.put(other, b"", ttl=60)
    assert (await cache.get(key), await cache.get(other)) == (b"\0\xff one", b"")
    await cache.put(key, b"two", ttl=60)
    assert await cache.get(key) == b"two"
    await cache.drop(key, other, unique())
    await cache.drop()
    assert (await cache.get(key), await cache.get(other)) == (None, None)


async def test_it_forgets_in_time(cache):
    key, never = unique(), unique()
    await cache.put(key, b"1", ttl=0.2)
    assert await cache.get(key) == b"1"

    async def is_gone() -> bool:
        return await cache.get(key) is None

    started = time.monotonic()
    await eventually(is_gone, "it is forgotten", seconds=2)
    assert time.monotonic() - started > 0.1
    await cache.put(never, b"1", ttl=60)
    await cache.put(never, b"1", ttl=0)
    assert await cache.get(never) is None


async def test_large_values_and_strange_keys(cache):
    for key in ("é {x} \n", "a" * 5000, "{bus}"):
        await cache.put(key, b"x" * 2_000_000, ttl=60)
        assert await cache.get(key) == b"x" * 2_000_000
        await cache.drop(key)


async def test_one_leads(cache):
    key = unique()
    got = await asyncio.gather(*(cache.lead(key, seconds=0.3) for _ in range(20)))
    assert sorted(got) == [False] * 19 + [True]

    async def leads_again() -> bool:
        return await cache.lead(key, seconds=5)

    await eventually(leads_again, "the lead ends", seconds=2)
    assert not await cache.lead(key, seconds=5)


async def test_a_bucket_is_emptied_and_drips(cache):
    subject, limit = unique(), Limit("l", rate=10, burst=3)
    got = [await cache.take(subject, limit) for _ in range(4)]
    assert [v.allowed for v in got] == [True, True, True, False]
    assert [v.remaining for v in got] == [2, 1, 0, 0]
    assert got[0].reset == pytest.approx(0.1, abs=0.001)
    assert 0 < got[3].retry_after <= 0.1
    assert 0.2 <= got[3].reset <= 0.3
    assert (await cache.take(unique(), limit)).allowed

    async def allowed() -> bool:
        return (await cache.take(subject, limit)).allowed

    await eventually(allowed, "one drips", seconds=1)


async def test_who_listens_hears_in_order_and_epochs_grow(cache):
    channel, other = unique(), unique()
    first, second, third = Listener(cache, channel), Listener(cache, channel), Listener(cache, other)
    await eventually(cache.in_touch, "in touch for the new channels too")
    for n in range(20):
        await cache.publish(channel, f"{n} é \n")
    await cache.publish(other, "", wait=True)
    assert first.heard == second.heard == [f"{n} é \n" for n in range(20)]
    assert third.heard == [""]
    assert first.epochs == sorted(set(first.epochs))
    assert cache.epoch > first.epochs[-1]


async def test_what_nobody_waits_for_is_heard_too(cache):
    listener = Listener(cache, channel := unique())
    await eventually(cache.in_touch, "in touch")
    await cache.publish(channel, "m", wait=False)
    await eventually(lambda: listener.heard == ["m"], "it is heard")


async def test_a_hearer_that_fails_does_not_keep_it_from_others(redis_cluster, join):
    cache, channel = await join(redis_cluster), unique()
    cache.subscribe(channel, lambda message: 1 / 0, lambda: 1 / 0)
    listener = Listener(cache, channel)
    await eventually(cache.in_touch, "in touch")
    await cache.publish(channel, "m")
    assert listener.heard == ["m"]


@pytest.mark.race
async def test_a_bucket_is_one_for_all_processes(redis_cluster, join):
    one, two = await join(redis_cluster), await join(redis_cluster)
    subject, limit = unique(), Limit("l", rate=0.5, burst=50)
    started = time.monotonic()
    got = await asyncio.gather(*(cache.take(subject, limit) for _ in range(100) for cache in (one, two)))
    dripped = int((time.monotonic() - started) * limit.rate) + 1
    assert 50 <= sum(v.allowed for v in got) <= 49 + dripped


async def test_buckets_of_two_processes_would_allow_twice_as_much():
    """The negative control."""
    one, two = Buckets(lambda: 0.0), Buckets(lambda: 0.0)
    limit = Limit("l", rate=0.5, burst=50)
    assert sum(b.take("s", limit).allowed for _ in range(100) for b in (one, two)) == 100


async def test_a_refusal_writes_nothing_and_a_bucket_leaves_nothing_behind(redis_cluster, join):
    cache, subject, limit = await join(redis_cluster), unique(), Limit("l", rate=5, burst=1)
    key = f"commonry:rate:{subject}"
    assert (await cache.take(subject, limit)).allowed
    held = redis_cluster.node_of(key).say("get", key)
    assert not (await cache.take(subject, limit)).allowed
    assert redis_cluster.node_of(key).say("get", key) in (held, "")
    await eventually(lambda: redis_cluster.node_of(key).say("exists", key) == "0", "it is gone", seconds=2)


@pytest.mark.parametrize("answer", [{b"kind": b"Subscribe", b"values": [b"c", 2]}, b"OK", None, [1, b"5", b"0"], []])
async def test_an_answer_to_something_else_is_no_answer(redis_cluster, join, monkeypatch, answer):
    """The driver was seen to give one, while it subscribed anew after a failover."""
    cache = await join(redis_cluster, channel := unique())

    async def strange(*_) -> object:
        return answer

    for link in (cache._store, cache._link):
        monkeypatch.setattr(link._client, "invoke_script", strange)
    limit = Limit("l", rate=0.01, burst=1)
    assert [(await cache.take("s", limit)).allowed for _ in range(2)] == [True, False]
    await cache.publish(channel, "m", wait=False)
    assert cache.listener.heard == ["m"]
    assert list(cache._owed) == [(channel, "m")]
    monkeypatch.undo()
    await eventually(lambda: not cache._owed, "it is published once the answers are right", seconds=2)


def test_urls():
    place = parse("redis://h:1, redis://user:p%40ss@[::1]:2,redis://x")
    assert place.nodes == [("h", 1), ("::1", 2), ("x", 6379)]
    assert (place.user, place.password, place.tls) == ("user", "p@ss", False)
    assert parse("rediss://:secret@h:1")[1:] == (None, "secret", True)
    for wrong in ("", "http://h:1", "h:1", "redis://", "redis://h:x"):
        with pytest.raises(ValueError, match=r"."):
            parse(wrong)
