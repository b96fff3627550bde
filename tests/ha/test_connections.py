"""Connections when their server dies, hangs, goes away without a word, or may only be read: found out soon, replaced,
and never waited for without end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from commonry.kit import deadlines
from commonry.kit.db import GRACE, Database, Tx, run, value
from commonry.kit.problems import Unavailable
from tests.faults.proxy import Proxy
from tests.ha.servers import Server

SIZE = 6
LATE = 4.0
"""Seconds of grace for a machine with much else to do."""


@pytest.fixture(scope="module", autouse=True)
def notes(server: Server) -> None:
    server.create_databases("notes")
    server.ask("CREATE TABLE notes (id uuid PRIMARY KEY); ALTER TABLE notes OWNER TO notes", "notes")


@pytest.fixture
def line(server: Server) -> Iterator[Proxy]:
    """The way to the server, which can go wrong."""
    proxy = Proxy(f"tcp://127.0.0.1:{server.port}")
    yield proxy
    proxy.end()


@asynccontextmanager
async def connected(port: int, **more: object) -> AsyncIterator[Database]:
    db = Database(f"postgresql://notes@127.0.0.1:{port}/notes", name="notes", size=SIZE, **more)
    await db.open()
    try:
        yield db
    finally:
        await db.close()


async def answer(db: Database) -> int:
    async with db.read() as tx:
        return await value(tx, "SELECT 1")


async def slow(db: Database, seconds: float) -> None:
    async with db.read() as tx:
        await value(tx, "SELECT pg_sleep(%(seconds)s)", {"seconds": seconds})


async def filled(db: Database) -> None:
    """All connections there may be, at rest."""
    async with asyncio.timeout(20):
        while db.pool.get_stats()["pool_available"] < SIZE:
            await asyncio.gather(*(slow(db, 0.3) for _ in range(SIZE)))


async def within(seconds: float, work: Awaitable[object]) -> object:
    """Its result or its `Unavailable`, which must be there by then."""
    began = time.monotonic()
    try:
        return await work
    except Unavailable as problem:
        return problem
    finally:
        assert time.monotonic() - began < seconds + LATE


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> float:
    """How long it took to become true."""
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_connections_that_ended_at_rest_are_replaced_before_anybody_gets_one(server: Server) -> None:
    async with connected(server.port) as db:
        await filled(db)
        ended = server.ask("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'notes'")
        assert ended == [(True,)] * SIZE
        assert await asyncio.gather(*(answer(db) for _ in range(SIZE * 3))) == [1] * SIZE * 3


async def test_after_a_crash_of_the_server_all_is_well_as_soon_as_it_is_back(server: Server) -> None:
    async with connected(server.port) as db:
        await filled(db)
        server.kill()
        assert isinstance(await within(3.0, answer(db)), Unavailable)
        server.start()

        async def works() -> bool:
            return await within(3.0, answer(db)) == 1

        assert await until(works) < 2.0 + LATE
        assert await asyncio.gather(*(answer(db) for _ in range(SIZE * 3))) == [1] * SIZE * 3


async def test_a_silent_line_is_given_up_with_the_callers_deadline_and_no_connection_stays_lost(
    server: Server, line: Proxy
) -> None:
    async with connected(line.port) as db:
        await filled(db)
        line.become("hole")
        before = deadlines.adopt([(deadlines.RAW_HEADER, b"1500")])
        began = time.monotonic()
        asked = await asyncio.gather(*(within(1.5 + 2 * GRACE, answer(db)) for _ in range(SIZE * 3)))
        assert all(isinstance(got, Unavailable) for got in asked)
        assert time.monotonic() - began < 1.5 + 2 * GRACE + LATE
        deadlines.back_to(before)
        line.cut()
        line.become("pass")
        await until(lambda: _is_well(db))
        assert await asyncio.gather(*(answer(db) for _ in range(SIZE * 3))) == [1] * SIZE * 3


async def test_a_server_that_hangs_is_given_up_and_is_well_when_it_goes_on(server: Server) -> None:
    async with connected(server.port) as db:
        await filled(db)
        server.pause()
        try:
            before = deadlines.adopt([(deadlines.RAW_HEADER, b"1000")])
            asked = await asyncio.gather(*(within(1.0 + 2 * GRACE, answer(db)) for _ in range(SIZE * 3)))
            assert all(isinstance(got, Unavailable) for got in asked)
            deadlines.back_to(before)
        finally:
            server.go_on()
        await until(lambda: _is_well(db))
        assert await asyncio.gather(*(answer(db) for _ in range(SIZE * 3))) == [1] * SIZE * 3


async def _is_well(db: Database) -> bool:
    return await within(3.0, answer(db)) == 1


async def test_a_statement_that_takes_too_long_is_stopped_and_its_connection_kept(server: Server) -> None:
    async with connected(server.port) as db:
        await filled(db)
        before = deadlines.adopt([(deadlines.RAW_HEADER, b"1200")])
        assert isinstance(await within(1.2 + GRACE, slow(db, 60)), Unavailable)
        deadlines.back_to(before)
        assert db.pool.get_stats()["pool_available"] == SIZE
        still = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'notes' AND state = 'active'"
        assert server.ask(still) == [(0,)]


async def test_work_whose_connection_is_lost_before_it_commits_is_done_again(server: Server) -> None:
    tries = 0

    async def work(tx: Tx) -> None:
        nonlocal tries
        tries += 1
        await run(tx, "INSERT INTO notes (id) VALUES (%(id)s)", {"id": UUID(int=tries)})
        if tries < 3:
            await run(tx, "SELECT pg_terminate_backend(pg_backend_pid())")

    async with connected(server.port) as db:
        await db.transact(work)
    assert server.ask("DELETE FROM notes RETURNING id", "notes") == [(UUID(int=3),)]


async def test_work_whose_commit_was_not_answered_is_not_done_again(server: Server) -> None:
    server.ask(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION die()""",
        "notes",
    )
    tries = 0

    async def work(tx: Tx) -> None:
        nonlocal tries
        tries += 1
        await run(tx, "INSERT INTO notes (id) VALUES (gen_random_uuid())")

    async with connected(server.port) as db:
        with pytest.raises(Unavailable) as caught:
            await db.transact(work)
        assert (tries, caught.value.headers()) == (1, {"retry-after": "2"})
        assert await answer(db) == 1
    server.ask("DROP FUNCTION die CASCADE", "notes")


async def test_a_database_that_may_only_be_read_is_unavailable_and_connected_to_anew(server: Server) -> None:
    async def write(db: Database) -> None:
        async with db.alone() as tx:
            await run(tx, "INSERT INTO notes (id) VALUES (gen_random_uuid())")

    server.ask("ALTER ROLE notes SET default_transaction_read_only = on")
    async with connected(server.port) as db:
        assert isinstance(await within(1.0, write(db)), Unavailable)
        server.ask("ALTER ROLE notes RESET default_transaction_read_only")

        async def works() -> bool:
            return await within(1.0, write(db)) is None

        await until(works, 5.0)  # of all connections there were, none is left that is still told otherwise


async def test_a_copy_is_not_taken_for_the_primary(server: Server) -> None:
    copy = server.copy("only-a-copy").start()
    try:
        async with connected(copy.port, patience=1.0) as db:
            assert isinstance(await within(1.0, answer(db)), Unavailable)
        async with connected(copy.port, copy=True) as db:
            assert await answer(db) == 1
    finally:
        copy.stop()


def test_sessions_say_what_they_are_to_the_server(server: Server) -> None:
    """Times are UTC whatever the server's own zone; limits hold on the server too."""

    async def told() -> tuple[str, ...]:
        async with connected(server.port) as db, db.read() as tx:
            names = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            return tuple([await value(tx, "SELECT current_setting(%(name)s)", {"name": name}) for name in names])

    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("ALTER ROLE notes SET timezone = 'Asia/Kathmandu'")
        assert asyncio.run(told()) == ("UTC", "20s", "10s", "30s")
        conn.execute("ALTER ROLE notes RESET timezone")
