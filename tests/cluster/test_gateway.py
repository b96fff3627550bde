"""Two gateways, two users, two inventories and their Redis Cluster: what breaks in the cluster nobody notices.

Everything runs in processes of its own. What the tests break they mend, but for the last, which adds a master.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from commonry.gateway.caching.entries import BLIND_SECONDS
from commonry.kit.auth import token_hash
from commonry.kit.cluster import scripts
from tests.faults.crowd import Crowd, crowd, settled, until
from tests.inside import rows
from tests.platform import Person, Platform, started
from tests.redis_cluster import RedisCluster
from tests.redis_cluster import started as cluster_started
from tests.redis_cluster import until as settle

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
CALM, BACK_TO_NORMAL, AFTER = 1.5, 5.0, 2.0
AT_ONCE, SOON = 1.0, 3.0
SLOWEST = 5.0
BLIND = BLIND_SECONDS + 0.2
"""How old an item may be while gateways do not hear what changes, which they know: and the time of a request."""
ROUNDS = 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Six nodes of our own, in use by the platform from its start on."""
    with cluster_started(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def twice(cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with two processes of what matters here."""
    folder, both = tmp_path_factory.mktemp("twice"), {"gateway": 2, "users": 2, "inventory": 2}
    with started("far", folder, replicas=both, COMMONRY_CACHE_URL=cluster.url) as running:
        yield running


def doors(platform: Platform) -> tuple[str, str]:
    return platform.url, platform.processes["gateway-2"].url


@pytest.fixture
async def people(twice: Platform) -> AsyncIterator[Any]:
    """Members, each by the gateway they use: `await people(1, "ada")`."""
    made: list[Person] = []

    async def join(door: int, name: str) -> Person:
        made.append(person := Person(doors(twice)[door], name))
        return await person.register()

    yield join
    for person in made:
        await person.close()


def elsewhere(person: Person, platform: Platform) -> Person:
    """The same person, with the same token, at the other gateway."""
    twin = Person(next(url for url in doors(platform) if url != person.url), person.name)
    twin.token, twin.id, twin.email, twin.password = person.token, person.id, person.email, person.password
    return twin


# sessions


async def _is_refused(person: Person, path: str, method: str = "GET") -> bool:
    return (await person.call(method, path, _thing() if method == "POST" else None)).status == 401


async def test_signing_out_at_one_gateway_counts_at_the_other_at_once(twice: Platform, people: Any) -> None:
    """Logout takes effect everywhere at once: the next request is refused, at every service that knew the token."""
    slowest = 0.0
    for n in range(ROUNDS):
        one = await people(n % 2, f"ada{n}")
        other = elsewhere(one, twice)
        for door in (one, other):  # every process behind each door has seen the token, and keeps what it knows
            for path in ("/members/me", "/bookings", "/payments", f"/items?owner={one.id}") * 2:
                assert (await door.call("GET", path)).status != 401
        began = time.monotonic()
        assert (await one.call("POST", "/auth/logout")).status == 204
        refused = [await _is_refused(d, p) for d in (other, one) for p in ("/members/me", "/bookings", "/members/me")]
        refused += [await _is_refused(d, "/items", "POST") for d in (other, one) for _ in range(2)]
        slowest = max(slowest, time.monotonic() - began)
        assert all(refused), refused
        await other.close()
    print(f"out, and refused ten times, within {slowest:.3f} s")


async def test_who_is_suspended_at_one_gateway_is_refused_at_the_other_at_once(twice: Platform, people: Any) -> None:
    """Suspension takes effect everywhere at once, for every session; what is lent is found nowhere any more."""
    manager = await people(0, "manager")
    with psycopg.connect(twice.database("users"), autocommit=True) as database:
        database.execute("UPDATE members SET roles = '{member,manager}' WHERE id = %s", [manager.id])
    await manager.login()
    for n in range(ROUNDS):
        ada = await people(1, f"ada{n}")
        second = elsewhere(ada, twice)
        await second.login()
        thing = await ada.must("POST", "/items", _thing())
        nobody = [Person(url, "nobody") for url in doors(twice)]
        for door in nobody:
            assert (await door.call("GET", f"/items/{thing['id']}")).status == 200
        for session in (ada, second):
            for path in ("/members/me", "/bookings"):
                assert (await session.call("GET", path)).status == 200
        assert (await manager.call("PATCH", f"/members/{ada.id}", {"status": "suspended"})).status == 200
        for session in (ada, second):
            assert await _is_refused(session, "/members/me")
            assert await _is_refused(session, "/bookings")
            assert await _is_refused(session, "/items", "POST")
        gone = [until(partial(_is_gone, door, thing["id"]), "its item is gone", seconds=SOON) for door in nobody]
        print(f"items gone after {max(await asyncio.gather(*gone)):.3f} s")
        for each in (second, *nobody):
            await each.close()


async def _is_gone(door: Person, item: str) -> bool:
    return (await door.call("GET", f"/items/{item}")).status == 404


async def test_a_login_is_validated_without_the_database(twice: Platform, cluster: RedisCluster, people: Any) -> None:
    """Who has signed in at one gateway is known at the other while nobody can reach the users' database. The negative
    control: with the cluster emptied the same request fails.
    """
    people_there = [await people(n % 2, f"ada{n}") for n in range(4)]
    strangers = [elsewhere(person, twice) for person in people_there]
    with _closed(twice, "users"):
        for person in strangers[:3]:
            for path in ("/bookings", "/payments?booking_id=00000000-0000-7000-8000-000000000000"):
                assert (await person.call("GET", path)).status < 500
            assert (await person.call("GET", "/bookings")).status == 200
            assert (await person.call("POST", "/items", _thing())).status == 201
        await asyncio.to_thread(cluster.flush)
        assert (await strangers[3].call("GET", "/bookings")).status == 503
    await until(lambda: _works(strangers[3]), "the database is there again", seconds=20)
    for person in strangers:
        await person.close()


async def _works(person: Person) -> bool:
    return all([(await person.call("GET", "/members/me")).status == 200 for _ in range(4)])


class _closed:
    """A database that takes no connections, and has none, while the block lasts."""

    def __init__(self, platform: Platform, service: str) -> None:
        self._url, self._name = platform.database("postgres"), service

    def __enter__(self) -> None:
        self._say(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._say(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'")

    def __exit__(self, *_: object) -> None:
        self._say(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def _say(self, what: Any) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(what)


def _thing() -> dict[str, Any]:
    return {
        "title": "A thing",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
    }


# the cluster under load


def judged(running: Crowd, what: str, *, calm: float, normal: float, bound: float = 0.0) -> None:
    """Nobody was refused or failed, nothing was too old, and after `normal` all is as quick as before `calm`."""
    usual, then = running.slowness(0, calm), running.slowness(normal)
    worst = max(c.took for c in running.calls)
    print(f"{what}: {len(running.calls)} requests, p95 {usual:.3f} s before, {then:.3f} s after, slowest {worst:.2f} s")
    print(dict(running.statuses), running.worst(3), sep="\n")
    assert running.failures() == [], running.worst()
    assert running.refused() == [], running.worst()
    assert not running.too_old(bound)
    assert then < 3 * usual + 0.5, running.worst()
    assert worst < SLOWEST, running.worst()


async def test_flushed_under_load(twice: Platform, cluster: RedisCluster) -> None:
    """FLUSHALL of every master, three times, under 64 clients: no request fails, nothing too old is given."""
    await settled(*doors(twice))
    async with crowd(*doors(twice)) as running:
        await asyncio.sleep(CALM)
        calm = time.monotonic()
        for _ in range(3):
            await asyncio.to_thread(cluster.flush)
            await asyncio.sleep(0.5)
        normal = time.monotonic() + 1
        await asyncio.sleep(1 + AFTER)
    judged(running, "flushed", calm=calm, normal=normal)


@pytest.mark.parametrize("victim", ["bus", pytest.param("a session's", marks=pytest.mark.long)])
async def test_a_master_is_killed_under_load(twice: Platform, cluster: RedisCluster, people: Any, victim: str) -> None:
    """kill -9 of a Redis master under 64 clients: no request fails because of it, and none is slower than before from
    five seconds on. Meanwhile no item is older than gateways may give that do not hear what changes; and who signs out
    is out everywhere within a second. The long variant is about those whose session the dead master kept: its replica
    may know them for a moment when it takes over, which is said as an expected failure.
    """
    await asyncio.to_thread(cluster.settled)
    await settled(*doors(twice))
    some = [await people(n % 2, f"leaving{n}") for n in range(8)]
    node = cluster.node_of(scripts.BUS) if victim == "bus" else cluster.node_of(_session(some[0]))
    on_it = [cluster.node_of(_session(person)) is node for person in some]
    leaving = [person for person, is_on_it in zip(some, on_it, strict=True) if is_on_it == (victim != "bus")]
    try:
        async with crowd(*doors(twice)) as running:
            await asyncio.sleep(CALM)
            calm = time.monotonic()
            node.kill()
            known = await asyncio.gather(*(_leaves(person, twice) for person in leaving))
            await asyncio.sleep(max(0.0, calm + BACK_TO_NORMAL + AFTER - time.monotonic()))
        print(f"{len(leaving)} signed out, and known after that for {max(known, default=0.0):.2f} s at most")
        judged(running, f"killed {victim}", calm=calm, normal=calm + BACK_TO_NORMAL, bound=BLIND)
        assert max(known, default=0.0) <= AT_ONCE, known
    finally:
        node.start()
        await asyncio.to_thread(cluster.settled)


def _session(person: Person) -> str:
    """The key of their session."""
    return f"commonry:session:{token_hash(str(person.token))}"


async def _leaves(person: Person, platform: Platform) -> float:
    """Sign out, and be out everywhere for good: for how many seconds the session was known after that."""
    other = elsewhere(person, platform)
    assert (await other.call("GET", "/bookings")).status == 200
    assert (await person.call("POST", "/auth/logout")).status == 204
    over = last = time.monotonic()
    while time.monotonic() < over + BACK_TO_NORMAL:
        for door in (person, other):
            for path in ("/bookings", "/members/me"):
                began = time.monotonic()
                last = last if await _is_refused(door, path) else max(last, began)
        await asyncio.sleep(0.05)
    await other.close()
    return last - over


async def test_a_master_that_hangs_under_load(twice: Platform, cluster: RedisCluster) -> None:
    """SIGSTOP of the bus's master, shorter than the cluster's own patience: nothing fails, nothing is too old."""
    await settled(*doors(twice))
    node = cluster.node_of(scripts.BUS)
    assert node.running is not None
    async with crowd(*doors(twice)) as running:
        await asyncio.sleep(CALM)
        calm = time.monotonic()
        node.running.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.8)
        node.running.send_signal(signal.SIGCONT)
        await asyncio.sleep(3 + AFTER)
    judged(running, "stopped", calm=calm, normal=calm + 3.8, bound=BLIND)


async def test_a_fourth_master_and_resharding_under_load(twice: Platform, cluster: RedisCluster) -> None:
    """A master is added and gets its quarter of the slots under 64 clients: no error, nothing older than its bound."""
    await asyncio.to_thread(cluster.settled)
    await settled(*doors(twice))
    before = len(cluster.slots())
    async with crowd(*doors(twice)) as running:
        await asyncio.sleep(CALM)
        calm = time.monotonic()
        await asyncio.to_thread(cluster.grow)
        normal = time.monotonic()
        await asyncio.sleep(AFTER)
    settle(lambda: len(cluster.slots()) == before + 1, "everybody knows one more master")
    judged(running, f"grown in {normal - calm:.1f} s", calm=calm, normal=normal)
    assert rows(twice, "inventory", "SELECT 1 AS n")
