"""The database: lone reads, whole transactions, deadlocks tried again, and a clear 503 when it is away."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from commonry.kit import clock
from commonry.kit.db import Database, Tx, run, value
from commonry.kit.problems import Unavailable


async def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    async def half(tx: Tx) -> None:
        await run(tx, "INSERT INTO events_seen (id) VALUES (gen_random_uuid())")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.transact(half)
    async with db.read() as tx:
        assert await value(tx, "SELECT count(*) FROM events_seen") == 0


async def test_a_deadlock_is_tried_again(db: Database) -> None:
    async with db.tx() as tx:
        for number in (1, 2):
            await run(tx, "INSERT INTO chores (id) VALUES (%(id)s)", {"id": UUID(int=number)})
    met = asyncio.Barrier(2)
    tries = 0

    def mover(first: str, second: str):
        waited = False

        async def work(tx: Tx) -> None:
            nonlocal tries, waited
            tries += 1
            await run(tx, "UPDATE chores SET done = done + 1 WHERE id::text LIKE %(id)s", {"id": f"%{first}"})
            if not waited:
                waited = True
                await met.wait()
            await run(tx, "UPDATE chores SET done = done + 1 WHERE id::text LIKE %(id)s", {"id": f"%{second}"})

        return work

    await asyncio.gather(db.transact(mover("1", "2")), db.transact(mover("2", "1")))
    async with db.read() as tx:
        assert await value(tx, "SELECT sum(done) FROM chores") == 4
    assert tries == 3


async def test_rules_see_the_pretended_time_and_leases_do_not(db: Database) -> None:
    past = datetime(2020, 2, 29, 12, tzinfo=UTC)
    with clock.at(past):
        async with db.read() as tx:
            assert await value(tx, "SELECT app_now()") == past
            assert await value(tx, "SELECT now() > app_now() + interval '5 years'")
    async with db.read() as tx:
        assert await value(tx, "SELECT app_now() = now()")


async def test_a_database_that_is_away_is_unavailable_and_soon() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", name="away", patience=0.3)
    await away.open()
    with pytest.raises(Unavailable):
        async with away.read():
            pass
    await away.close()


async def test_a_full_pool_is_unavailable_not_a_queue_without_end(db: Database) -> None:
    small = Database(db.pool.conninfo, name="small", size=1, patience=0.2)
    await small.open()
    async with small.read() as tx:
        await tx.execute("SELECT 1")
        with pytest.raises(Unavailable):
            async with small.read():
                pass
    async with small.read() as tx:
        assert await value(tx, "SELECT 1") == 1
    await small.close()
