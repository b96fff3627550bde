"""The bus: what has been published has been heard, or is known to be missing."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from commonry.kit.cluster import scripts
from commonry.kit.cluster.bus import LEASE
from commonry.kit.cluster.link import Away
from tests.cluster.conftest import Listener, eventually, known
from tests.redis_cluster import _die_with_us


def unique() -> str:
    return uuid4().hex


async def pair(cluster, join):
    """Two caches that listen to a channel of their own."""
    channel = unique()
    one, two = await join(cluster, channel), await join(cluster, channel)
    await known(one, two)
    return channel, one, two


async def test_the_other_has_heard_when_publish_returns(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    missed = (one.listener.missed, two.listener.missed)
    for n in range(200):
        publisher, other = (one, two) if n % 2 else (two, one)
        await publisher.publish(channel, str(n))
        assert other.listener.heard[-1] == publisher.listener.heard[-1] == str(n)
        assert one.epoch == two.epoch
    assert one.listener.heard == two.listener.heard == [str(n) for n in range(200)]
    assert one.listener.epochs == two.listener.epochs == sorted(set(one.listener.epochs))
    assert (one.listener.missed, two.listener.missed) == missed


@pytest.mark.race
async def test_the_same_for_many_at_once_and_in_one_order(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    missed = (one.listener.missed, two.listener.missed)
    late = []

    async def publish(publisher, other, message: str) -> None:
        await publisher.publish(channel, message)
        late.extend(m for m in (message,) if m not in other.listener.heard or m not in publisher.listener.heard)

    calls = [publish(*pair, f"{n}{name}") for n in range(500) for pair, name in (((one, two), "a"), ((two, one), "b"))]
    await asyncio.gather(*calls)
    assert not late
    assert one.listener.heard == two.listener.heard
    assert len(set(one.listener.heard)) == 1000
    assert (one.listener.missed, two.listener.missed) == missed, "messages keep their order"


async def test_a_lost_message_is_noticed_by_the_next_and_by_the_next_beat(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    for silence in ("next", "beat"):
        lost: list[str] = []
        hears, two._on_message = two._on_message, lambda *message, lost=lost: lost.append(message[-1])
        missed, epoch = two.listener.missed, two.epoch
        await one.publish(channel, f"lost to {silence}", wait=False)
        await eventually(lambda s=silence, lost=lost: f"lost to {s}" in lost, "it comes to the deaf one")
        two._on_message = hears
        if silence == "next":
            await one.publish(channel, "next")
            assert "next" in two.listener.heard
        await eventually(lambda m=missed: two.listener.missed == m + 1, "the loss is noticed", seconds=1)
        assert two.epoch > epoch


async def test_who_does_not_acknowledge_costs_a_lease_and_hears_of_it_by_then(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    two._on_message = lambda *_: None
    missed, started = two.listener.missed, time.monotonic()
    two._acknowledge = lambda *_: None
    await one.publish(channel, "m")
    assert LEASE <= time.monotonic() - started < LEASE + 0.5
    assert two.listener.missed > missed
    assert "m" in one.listener.heard


async def test_after_a_gap_nobody_is_in_touch_for_two_leases(redis_cluster, join):
    """Else the first to be back would answer from memory what a slower one changes and can tell nobody."""
    _, one, two = await pair(redis_cluster, join)
    redis_cluster.node_of(scripts.BUS).say("del", scripts.BUS)
    gap = time.monotonic()
    await eventually(lambda: not one.in_touch() and not two.in_touch(), "out of touch", seconds=LEASE + 0.5)
    await eventually(lambda: one.in_touch() or two.in_touch(), "in touch again")
    assert time.monotonic() - gap > 2 * LEASE


async def test_who_hears_no_beat_is_out_of_touch_after_a_lease(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    hears = two._on_text
    two._on_text = lambda _: None
    started = time.monotonic()
    await one.publish(channel, "m")
    assert not two.in_touch(), "when publish returns, who has not heard knows it"
    assert time.monotonic() - started < LEASE + 0.5
    missed = two.listener.missed
    two._on_text = hears
    await eventually(two.in_touch, "back in touch")
    assert two.listener.missed > missed


@contextmanager
def process(url: str, channel: str, output: Path) -> Iterator[subprocess.Popen]:
    with output.open("wb") as out:
        command = [sys.executable, "-m", "tests.cluster.peer", url, channel]
        running = subprocess.Popen(command, stdout=out, preexec_fn=_die_with_us)  # noqa: PLW1509 why: calls libc only
        try:
            yield running
        finally:
            running.kill()
            running.wait()


@pytest.mark.faults
async def test_a_process_that_hangs_delays_by_a_lease_and_wakes_out_of_touch(redis_cluster, join, tmp_path):
    channel, output = unique(), tmp_path / "said"
    cache = await join(redis_cluster, channel)

    def said() -> list[str]:
        return [line for line in output.read_text().splitlines() if line.strip()]

    with process(redis_cluster.url, channel, output) as other:
        await eventually(lambda: any(line.endswith(" 1") for line in said()), "the other is in touch")
        await known(cache)
        await cache.publish(channel, "first")
        assert "heard first" in said()
        other.send_signal(signal.SIGSTOP)
        asleep, started = len(said()), time.monotonic()
        await cache.publish(channel, "second")
        delay = time.monotonic() - started
        assert delay < LEASE + 0.5
        assert "heard second" not in said()
        await eventually(lambda: time.monotonic() - started > LEASE + 0.2, "its lease is over")
        again = time.monotonic()
        await cache.publish(channel, "third")
        assert time.monotonic() - again < 0.3, "nobody waits for it any more"
        woken = time.monotonic()
        other.send_signal(signal.SIGCONT)

        def since() -> list[str]:
            return [line for line in said()[asleep:] if not line.startswith("touch") or float(line.split()[1]) > woken]

        await eventually(lambda: any(line.endswith(" 1") for line in since()), "it is in touch again")
        lines = since()
        looks = [line.split()[2] for line in lines if line.startswith("touch")]
        assert looks[0] == "0", "the first thing it sees is that it is out of touch"
        assert lines.index("missed") < next(n for n, line in enumerate(lines) if line.endswith(" 1"))


@pytest.mark.faults
async def test_who_leaves_is_waited_for_no_longer_and_who_was_killed_a_lease(redis_cluster, join, tmp_path):
    channel, one, two = await pair(redis_cluster, join)
    await two.close()
    started = time.monotonic()
    await one.publish(channel, "m")
    assert time.monotonic() - started < 0.3
    output = tmp_path / "said"
    with process(redis_cluster.url, channel, output) as other:
        await eventually(lambda: " 1\n" in output.read_text(), "the other is in touch")
        other.kill()
        other.wait()
    started = time.monotonic()
    await one.publish(channel, "m")
    assert time.monotonic() - started < LEASE + 0.5


async def test_a_channel_added_later_counts_once_it_is_known_to_publishers(redis_cluster, join):
    _, one, two = await pair(redis_cluster, join)
    name = unique()
    late = Listener(two, name)
    assert not two.in_touch()
    await eventually(two.in_touch, "in touch")
    await one.publish(name, "m")
    assert late.heard == ["m"]


async def test_what_could_not_be_published_is_published_later(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    sends, kept = one._send, {}

    async def refuses(*_, **__):
        raise Away

    one._send = refuses
    epoch = one.epoch
    await asyncio.gather(*(one.publish(channel, m, wait=False) for m in ("a", "b")))
    assert one.listener.heard[-2:] == ["a", "b"], "the own process hears it at once"
    assert one.epoch > epoch
    started = time.monotonic()
    await one.publish(channel, "c")
    assert time.monotonic() - started < LEASE + 0.5, "who may be in touch without us is so for a lease at most"
    kept |= one._owed
    one._send = sends
    assert list(kept) == [(channel, m) for m in ("a", "b", "c")]
    await eventually(lambda: two.listener.heard[-3:] == ["a", "b", "c"], "the others hear it", seconds=2)
    assert not one._owed


async def test_too_many_debts_become_one(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    missed = two.listener.missed
    for n in range(5000):
        one._owe(channel, str(n))
    assert len(one._owed) < 1100
    await eventually(lambda: two.listener.missed > missed, "everybody forgets all")


async def test_a_cancelled_publish_is_a_debt(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    task = asyncio.create_task(one.publish(channel, "m"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: "m" in two.listener.heard, "it is heard all the same", seconds=2)


async def test_the_bus_leaves_little_behind(redis_cluster, join):
    channel, one, two = await pair(redis_cluster, join)
    node = redis_cluster.node_of(scripts.BUS)
    assert int(node.say("pttl", scripts.BUS)) > 0
    assert int(node.say("pttl", scripts.listeners(channel))) > 0
    assert node.say("zcard", scripts.listeners(channel)) == "2"
    await one.close()
    assert node.say("zrange", scripts.listeners(channel), "0", "-1") == two.me
