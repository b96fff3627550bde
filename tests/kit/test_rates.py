"""GCRA against what it promises: in any stretch of time, so many and no more; and numbers that are true."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonry.kit import rates
from commonry.kit.cache import MemoryCache
from commonry.kit.rates import Buckets, Limit, verdict


class Time:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


class Tokens:
    """The same promise said another way: a bucket of `burst` tokens, filled up at `rate`, each request takes one."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit, self.left, self.at = limit, float(limit.burst), now

    def look(self, now: float) -> float:
        self.left, self.at = min(self.limit.burst, self.left + (now - self.at) * self.limit.rate), now
        return self.left

    def take(self, now: float) -> bool:
        allowed = self.look(now) >= 1 - 1e-6
        self.left -= allowed
        return allowed


limits = st.builds(
    Limit,
    name=st.just("any"),
    rate=st.sampled_from([0.01, 1 / 60, 0.5, 1.0, 3.0, 7.5, 50.0, 300.0]),
    burst=st.integers(1, 60),
)
gaps = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.05), st.floats(0, 3), st.sampled_from([1.0, 60.0, 1000.0])), max_size=200
)


@given(limits, gaps)
@settings(deadline=None)
def test_it_decides_as_a_bucket_of_tokens_does(limit, gaps):
    time = Time()
    buckets, model = Buckets(time), Tokens(limit, time.now)
    for gap in gaps:
        time.now += gap
        if abs(model.look(time.now) - 1) < 1e-5:
            continue  # a hair's breadth: either is right
        assert buckets.take("who", limit).allowed == model.take(time.now)


@given(limits, gaps)
@settings(deadline=None)
def test_in_no_interval_more_pass_than_promised(limit, gaps):
    time = Time()
    buckets, passed = Buckets(time), []
    for gap in gaps:
        time.now += gap
        if buckets.take("who", limit).allowed:
            passed.append(time.now)
    for first, began in enumerate(passed):
        for count, ended in enumerate(passed[first:], 1):
            assert count <= limit.burst + limit.rate * (ended - began) + 1e-6


@given(limits, gaps)
@settings(deadline=None)
def test_what_is_said_is_true(limit, gaps):
    """As many as `remaining` pass at once and no more; after `retry_after` one does; after `reset` all do."""
    time = Time()
    buckets = Buckets(time)
    for gap in gaps[:20]:
        time.now += gap
        said = buckets.take("who", limit)
    if not gaps:
        return
    assert 0 <= said.reset <= limit.window + 1e-6
    assert (said.retry_after > 0) is not said.allowed
    assert sum(buckets.take("who", limit).allowed for _ in range(limit.burst + 1)) == said.remaining
    refused = buckets.take("who", limit)
    assert (refused.allowed, refused.remaining) == (False, 0)
    time.now += refused.retry_after + 1e-6
    assert buckets.take("who", limit).allowed
    time.now += buckets.take("who", limit).reset + 1e-6
    assert sum(buckets.take("who", limit).allowed for _ in range(limit.burst + 1)) == limit.burst


def test_nobody_is_let_in_sooner_than_told():
    time, limit = Time(), Limit("x", 2, 3)
    buckets = Buckets(time)
    for _ in range(3):
        buckets.take("who", limit)
    wait = buckets.take("who", limit).retry_after
    assert wait == pytest.approx(0.5)
    time.now += wait - 0.01
    assert not buckets.take("who", limit).allowed


def test_refusals_take_nothing():
    time, limit = Time(), Limit("x", 1, 2)
    buckets = Buckets(time)
    assert [buckets.take("who", limit).allowed for _ in range(1000)] == [True, True] + [False] * 998
    time.now += 1
    assert [buckets.take("who", limit).allowed for _ in range(2)] == [True, False]


def test_idleness_saves_up_no_more_than_a_burst():
    time, limit = Time(), Limit("x", 10, 5)
    buckets = Buckets(time)
    buckets.take("who", limit)
    time.now += 3600
    assert sum(buckets.take("who", limit).allowed for _ in range(100)) == 5


def test_subjects_do_not_share():
    limit, buckets = Limit("x", 1, 1), Buckets(Time())
    assert [buckets.take(who, limit).allowed for who in ("ada", "ben", "ada")] == [True, True, False]


def test_the_numbers_of_a_known_case():
    limit = Limit("x", 10, 4)
    assert (limit.cost, limit.window) == (0.1, 0.4)
    assert verdict(limit, 0, 100) == (True, 3, 0, pytest.approx(0.1))
    assert verdict(limit, 100.25, 100) == (True, 0, 0, pytest.approx(0.35))
    assert verdict(limit, 100.35, 100) == (False, 0, pytest.approx(0.05), pytest.approx(0.35))


def test_full_buckets_are_forgotten_others_are_not(monkeypatch):
    monkeypatch.setattr(rates, "FORGET_OVER", 100)
    time, limit = Time(), Limit("x", 1, 50)
    buckets = Buckets(time)
    for n in range(90):
        buckets.take(f"old {n}", limit)
    time.now += 2
    for _ in range(50):
        buckets.take("busy", limit)
    for n in range(40):
        buckets.take(f"new {n}", limit)
    assert len(buckets._arrivals) < 100
    assert not buckets.take("busy", limit).allowed


def test_memory_stays_bounded_however_many_ask(monkeypatch):
    monkeypatch.setattr(rates, "FORGET_OVER", 100)
    buckets, limit = Buckets(Time()), Limit("x", 0.001, 1)
    for n in range(1000):
        buckets.take(str(n), limit)
        assert len(buckets._arrivals) <= 100


async def test_a_memory_cache_counts_the_same_way():
    time, limit = Time(), Limit("x", 1, 3)
    cache = MemoryCache(clock=time)
    found = [await cache.take("who", limit) for _ in range(4)]
    assert [f.allowed for f in found] == [True, True, True, False]
    assert math.ceil(found[-1].retry_after) == 1
