"""Reading from a standby: real ones, which stream from a real primary, lag, stop, lose touch and come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from commonry.kit import clock
from commonry.kit.cache import MemoryCache
from commonry.kit.db import Database, Tx, value
from commonry.kit.standby import BOUND, PATIENCE, Standby, lag
from tests.ha.haproxy import Balancer
from tests.ha.servers import Room, Server
from tests.platform import OWNERS, Person, Platform, started
from tests.redis_cluster import started as cluster_started

LATE = 2.0
"""Seconds of grace for a machine with much else to do."""
CALM = 3.0
BEHIND = 0.3


@pytest.fixture(scope="module")
def primary(place: Room) -> Iterator[Server]:
    made = Server(place, "primary").make().start()
    made.create_databases("notes")
    made.ask("CREATE TABLE notes (n bigint); INSERT INTO notes VALUES (0); ALTER TABLE notes OWNER TO notes", "notes")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def copies(primary: Server) -> Iterator[tuple[Server, Server]]:
    both = primary.copy("first").start(), primary.copy("second").start()
    yield both
    for one in both:
        one.stop()


@asynccontextmanager
async def reading(
    primary: Server, port: int, cache: MemoryCache | None = None, *, of: str = "notes", **more: Any
) -> AsyncIterator[Standby]:
    """A standby that is looked after."""
    url = f"postgresql://notes@127.0.0.1:{port}/{of}"
    first = Database(primary.url("notes", "notes"), name="notes")
    copy = Database(url, name="notes standby", patience=PATIENCE, copy=True, **more)
    await first.open()
    await copy.open()
    standby = Standby(first, copy, cache or MemoryCache())
    watching = asyncio.create_task(standby.watch())
    try:
        yield standby
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await copy.close()
        await first.close()


async def is_copy(standby: Standby) -> bool:
    """Whether a read goes to the copy now."""
    began = time.monotonic()
    answer = await standby.ask(lambda tx: value(tx, "SELECT pg_is_in_recovery()"))
    assert time.monotonic() - began < PATIENCE + LATE
    return answer


async def until(true: Callable[[], Awaitable[bool]], what: str, seconds: float = 15.0) -> float:
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def is_primary(standby: Standby) -> bool:
    return not await is_copy(standby)


def seconds_behind() -> float:
    return lag.labels("notes").collect()[0].samples[0].value


def write(server: Server) -> None:
    server.ask("UPDATE notes SET n = n + 1", "notes")


async def number(tx: Tx) -> int:
    return await value(tx, "SELECT n FROM notes")


async def test_an_idle_primary_is_no_lag(primary: Server, copies: tuple[Server, Server]) -> None:
    async with reading(primary, copies[0].port) as standby:
        await until(lambda: is_copy(standby), "the copy is read")
        began, asked = time.monotonic(), list[bool]()
        while time.monotonic() - began < CALM:
            asked.append(await is_copy(standby))
            await asyncio.sleep(0.02)
        assert sum(asked) > 0.9 * len(asked), f"{sum(asked)} of {len(asked)} went to the copy"
        assert seconds_behind() < BOUND + LATE


async def test_what_lags_is_not_read_and_is_again_when_it_has_caught_up(
    primary: Server, copies: tuple[Server, Server]
) -> None:
    copy, _ = copies
    async with reading(primary, copy.port) as standby:
        await until(lambda: is_copy(standby), "the copy is read")
        copy.ask("SELECT pg_wal_replay_pause()")
        try:
            write(primary)
            written = time.monotonic()
            expected = (await _numbers(primary))[0]

            async def is_new() -> bool:
                return await standby.ask(number) == expected

            assert await until(is_new, "the primary is read") < BOUND + LATE
            while time.monotonic() - written < BOUND + 1:
                await asyncio.sleep(0.05)
            assert await is_primary(standby)
            assert seconds_behind() > BOUND
        finally:
            copy.ask("SELECT pg_wal_replay_resume()")
        await until(lambda: is_copy(standby), "the copy is read again")
        assert seconds_behind() < BOUND


async def _numbers(*servers: Server) -> list[int]:
    return [int(str(server.ask("SELECT n FROM notes", "notes")[0][0])) for server in servers]


async def test_what_has_lost_touch_with_its_primary_is_not_read(primary: Server, copies: tuple[Server, Server]) -> None:
    """It has replayed all it has received, so that by its own word it is not behind."""
    copy, _ = copies
    async with reading(primary, copy.port) as standby:
        await until(lambda: is_copy(standby), "the copy is read")
        source = str(copy.ask("SHOW primary_conninfo")[0][0])
        _follow(copy, "host=127.0.0.1 port=1 connect_timeout=1")
        try:
            await until(lambda: _has_no_source(copy), "the copy has lost touch")
            assert copy.ask("SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()") == [(True,)]
            write(primary)
            await until(lambda: is_primary(standby), "the primary is read", BOUND + LATE)
        finally:
            _follow(copy, source)
        await until(lambda: is_copy(standby), "the copy is read again", 30)


def _follow(copy: Server, source: str) -> None:
    quoted = source.replace("'", "''")
    copy.ask(f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
    copy.ask("SELECT pg_reload_conf()")


async def _has_no_source(copy: Server) -> bool:
    return copy.ask("SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)]


async def test_what_is_away_costs_nobody_an_answer(primary: Server, copies: tuple[Server, Server]) -> None:
    _, copy = copies
    async with reading(primary, copy.port) as standby:
        await until(lambda: is_copy(standby), "the copy is read")
        copy.kill()
        assert not any(await asyncio.gather(*(is_copy(standby) for _ in range(20))))
        assert await is_primary(standby)
        copy.start()
        await until(lambda: is_copy(standby), "the copy is read again")


async def test_a_server_that_is_no_copy_is_not_taken_for_one(primary: Server) -> None:
    """It may be a primary that was replaced, and says itself that it lacks nothing."""
    async with reading(primary, primary.port) as standby:
        await until(lambda: _was_looked_at(standby), "it was looked at")
        assert not any(await asyncio.gather(*(is_copy(standby) for _ in range(5))))


async def test_another_database_is_not_taken_for_a_copy(
    place: Room, primary: Server, copies: tuple[Server, Server]
) -> None:
    """It was copied from this server once, or is the standby of another; whatever it says of its log means nothing."""
    _, copy = copies
    primary.ask("CREATE DATABASE others OWNER notes")
    async with reading(primary, copy.port, of="others") as standby:
        await until(lambda: _was_looked_at(standby), "it was looked at")
        assert await is_primary(standby)


async def _was_looked_at(standby: Standby) -> bool:
    return standby._near is False


@pytest.mark.parametrize("told", [True, False])
async def test_what_was_written_is_seen_at_once(primary: Server, copies: tuple[Server, Server], told: bool) -> None:
    """And when it is not told that something was, it is not: the copy is truly behind."""
    copy, _ = copies
    copy.ask(f"ALTER SYSTEM SET recovery_min_apply_delay = '{BEHIND}s'")
    copy.ask("SELECT pg_reload_conf()")
    old = went_to_copy = 0
    async with reading(primary, copy.port) as standby:
        for _ in range(10):
            await until(lambda: is_copy(standby), "the copy is read")
            write(primary)
            if told:
                await standby.written()
            expected, began = (await _numbers(primary))[0], time.monotonic()
            while time.monotonic() - began < BEHIND / 2:
                old += await standby.ask(number) < expected
            went_to_copy += 1
    copy.ask("ALTER SYSTEM RESET recovery_min_apply_delay")
    copy.ask("SELECT pg_reload_conf()")
    assert went_to_copy == 10
    assert (old == 0) is told


async def test_who_does_not_hear_of_writes_does_not_read_it(primary: Server, copies: tuple[Server, Server]) -> None:
    """Several processes, and no cache that they share."""
    async with reading(primary, copies[0].port, MemoryCache(several=True)) as standby:
        await until(lambda: _is_near(standby), "the copy is near")
        assert await is_primary(standby)


async def _is_near(standby: Standby) -> bool:
    return standby._near is True


@pytest.mark.parametrize("pooled", [False, True])
async def test_of_several_behind_one_address_each_is_looked_at(
    place: Room, primary: Server, copies: tuple[Server, Server], pooled: bool
) -> None:
    slow, _ = copies
    balancer = Balancer(place, f"both-{pooled}", [f"127.0.0.1:{copy.port}" for copy in copies]).start()
    written = [(time.monotonic(), (await _numbers(primary))[0])]
    old, from_copies = list[int](), 0
    try:
        async with reading(primary, balancer.port, pooled=pooled) as standby:
            await until(lambda: is_copy(standby), "a copy is read")
            slow.ask("SELECT pg_wal_replay_pause()")
            paused = time.monotonic()
            while time.monotonic() - paused < BOUND + CALM:
                write(primary)
                written.append((time.monotonic(), written[-1][1] + 1))
                least = max(n for at, n in written if at <= written[-1][0] - BOUND or n == written[0][1])
                asked = await asyncio.gather(*(standby.ask(_number_and_place) for _ in range(6)))
                old += [n for n, _ in asked if n < least]
                from_copies += sum(copied for _, copied in asked)
    finally:
        slow.ask("SELECT pg_wal_replay_resume()")
        balancer.stop()
    assert old == []
    assert from_copies > 20


async def _number_and_place(tx: Tx) -> tuple[int, bool]:
    return await number(tx), await value(tx, "SELECT pg_is_in_recovery()")


# the whole platform


class Searching(NamedTuple):
    """A platform over a standby that is always a little behind; far, it has two gateways and two inventories."""

    platform: Platform
    copy: Server

    def reads(self) -> int:
        """How often items were looked up in the standby."""
        query = "SELECT sum(seq_scan + idx_scan)::int FROM pg_stat_user_tables WHERE relname = 'items'"
        return int(str(self.copy.ask(query, "inventory")[0][0]))

    async def has(self, version: int) -> bool:
        return self.copy.ask("SELECT version FROM items", "inventory") == [(version,)]


@pytest.fixture(params=["near", pytest.param("far", marks=pytest.mark.long)])
def searching(request: pytest.FixtureRequest, place: Room, tmp_path: Path) -> Iterator[Searching]:
    primary = Server(place, f"{request.param}-primary").make().start()
    primary.create_databases(*OWNERS)
    copy = primary.copy(f"{request.param}-copy", recovery_min_apply_delay=f"{BEHIND}s").start()
    env = {"COMMONRY_DATABASE_URL": primary.template, "COMMONRY_READ_URL": copy.template}
    with ExitStack() as stack:
        if request.param == "far":
            (redis := tmp_path / "redis").mkdir()
            env["COMMONRY_CACHE_URL"] = stack.enter_context(cluster_started(redis)).url
        running = started(request.param, tmp_path, replicas={"gateway": 2, "inventory": 2}, **env)
        yield Searching(stack.enter_context(running), copy)
    copy.stop()
    primary.stop()


@pytest.mark.timeout(180)
async def test_an_owners_change_is_found_at_once_by_everybody(searching: Searching) -> None:
    """Also when lists were kept before it, and whichever gateway, inventory and database they come from."""
    platform, _ = searching
    gateways = [p.url for name, p in platform.processes.items() if name.startswith(("gateway", "platform"))]
    doors = [Person(url, "nobody") for url in gateways]
    ada = await platform.person("ada")
    item = await ada.must("POST", "/items", _thing())
    start = clock.now() + timedelta(days=9)
    dates = f"from={start:%Y-%m-%dT%H:00:00Z}&to={start + timedelta(hours=5):%Y-%m-%dT%H:00:00Z}"
    paths = [f"/items?owner={ada.id}&{dates}", f"/items?owner={ada.id}", f"/items?{dates}&q=ladder"]
    before, version = searching.reads(), item["version"]
    for _ in range(15):
        await asyncio.gather(*(door.get(path) for door in doors for path in paths))
        changed = await ada.must("PATCH", f"/items/{item['id']}", {"description": f"after {version}"})
        assert changed["version"] > version
        version = changed["version"]
        found = await asyncio.gather(*(door.get(path) for door in doors for path in paths))
        assert [page["data"][0]["version"] for page in found] == [version] * len(found)
        await until(partial(searching.has, version), "the standby has it too")
        await asyncio.gather(*(door.get(f"{path}&limit={version}") for door in doors for path in paths))

    async def was_read() -> bool:
        return searching.reads() > before + 15

    await until(was_read, "the standby was read as well")
    for person in (ada, *doors):
        await person.close()


def _thing() -> dict[str, Any]:
    return {
        "title": "Ladder",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
    }
