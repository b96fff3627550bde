"""What waits in the queues, as the metrics tell it: right, one number a process, and forgotten when it grows old."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from commonry.kit import backlog
from commonry.kit.backlog import Backlog, Outbox, watching
from commonry.kit.db import Database
from commonry.kit.due import STUCK_AFTER, Queue
from tests.kit.test_due import chore, one
from tests.numbers import numbers

WAITING, OLDEST, STUCK = "commonry_due_waiting", "commonry_due_oldest_seconds", "commonry_due_stuck"
EVENT = """
    INSERT INTO outbox (id, receiver, topic, event, due)
    VALUES (gen_random_uuid(), 'users', 'topic', '{}', now() + interval '1 h')"""


@pytest.fixture
async def facts() -> AsyncIterator[list[backlog.Fact]]:
    made: list[backlog.Fact] = [Backlog("kit", "chores"), Outbox("kit")]
    yield made
    for fact in made:
        fact.forget()


async def look(db: Database, *facts: backlog.Fact) -> dict[str, float]:
    async with db.read() as tx:
        for fact in facts:
            await fact.look(tx)
    return numbers()


async def test_an_empty_queue_is_told_as_such(db: Database, facts: list[backlog.Fact]) -> None:
    said = await look(db, *facts)
    assert [said[f"{name} chores"] for name in (WAITING, OLDEST, STUCK)] == [0, 0, 0]
    assert said["commonry_outbox_waiting kit"] == 0


async def test_what_is_due_and_nobodys_waits(db: Database, facts: list[backlog.Fact]) -> None:
    for when in ("now() + interval '1 h'", "now() - interval '30 s'", "now() - interval '90 s'"):
        await chore(db, when)
    said = await look(db, *facts)
    assert said[f"{WAITING} chores"] == 2
    assert 90 <= said[f"{OLDEST} chores"] < 100
    queue = Queue(db, "chores")
    (oldest,) = await queue.claim(1)
    said = await look(db, *facts)
    assert said[f"{WAITING} chores"] == 1
    assert 30 <= said[f"{OLDEST} chores"] < 40
    await one(db, "UPDATE chores SET lease_until = now() - interval '1 s' WHERE id = %(id)s RETURNING id", id=oldest.id)
    assert (await look(db, *facts))[f"{WAITING} chores"] == 2  # whoever had it is dead


async def test_what_keeps_failing_is_stuck_and_does_not_wait(db: Database, facts: list[backlog.Fact]) -> None:
    await chore(db)
    queue = Queue(db, "chores")

    async def fail(_: object) -> None:
        raise RuntimeError("it never works")

    for attempt in range(STUCK_AFTER):
        assert (await look(db, *facts))[f"{STUCK} chores"] == 0, attempt
        await one(db, "UPDATE chores SET due = now() RETURNING id")
        assert await queue.round(fail) == 1
    said = await look(db, *facts)
    assert (said[f"{STUCK} chores"], said[f"{WAITING} chores"]) == (1, 0)
    await one(db, "UPDATE chores SET attempts = 1000 RETURNING id")
    await one(db, "UPDATE chores SET due = now() RETURNING id")
    await queue.round(fail)  # backed off for as long as anything ever is
    assert (await look(db, *facts))[f"{STUCK} chores"] == 1


async def test_an_event_waits_until_it_is_taken_however_long_that_is_put_off(
    db: Database, facts: list[backlog.Fact]
) -> None:
    async with db.tx() as tx:
        await tx.execute(EVENT)
    assert (await look(db, *facts))["commonry_outbox_waiting kit"] == 1


async def test_services_in_one_process_tell_queues_of_one_name_as_one(db: Database, facts: list[backlog.Fact]) -> None:
    other = Backlog("other", "chores")
    await chore(db, "now() - interval '60 s'")
    try:
        said = await look(db, facts[0], other)
        assert said[f"{WAITING} chores"] == 2
        assert 60 <= said[f"{OLDEST} chores"] < 70
        facts[0].forget()
        assert numbers()[f"{WAITING} chores"] == 1
    finally:
        other.forget()
    assert f"{WAITING} chores" not in numbers()


async def test_what_is_not_known_any_more_is_left_out(
    db: Database, facts: list[backlog.Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the database away the last numbers stay for a while, then go; the page itself never fails."""
    for name, seconds in (("EVERY", 0.05), ("SELDOM", 0.05), ("KEPT", 1.0)):
        monkeypatch.setattr(backlog, name, seconds)
    away = Database(db.pool.conninfo, name="kit", size=1, patience=0.1)
    await away.open()
    watch = asyncio.create_task(watching(away, facts)())
    try:
        await until(lambda: f"{WAITING} chores" in numbers())
        async with away.pool.connection():  # the only one there is
            await asyncio.sleep(0.3)
            assert f"{WAITING} chores" in numbers()
            await until(lambda: f"{WAITING} chores" not in numbers())
            assert "commonry_outbox_waiting kit" not in numbers()
        await until(lambda: f"{WAITING} chores" in numbers())
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await away.close()
    assert f"{WAITING} chores" not in numbers()


async def until(what: object) -> None:
    assert callable(what)
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.02)


async def test_a_pool_tells_how_much_of_it_is_used(db: Database) -> None:
    small = Database(db.pool.conninfo, name="small", size=2)
    await small.open()
    assert (numbers()["commonry_database_pool_size small"], numbers()["commonry_database_pool_used small"]) == (2, 0)
    async with small.read(), small.read():
        third = asyncio.create_task(look(small))
        await until(lambda: numbers()["commonry_database_pool_waiting small"] == 1)
        assert numbers()["commonry_database_pool_used small"] == 2
    await third
    await until(lambda: numbers()["commonry_database_pool_used small"] == 0)
    await small.close()
