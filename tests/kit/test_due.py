"""Due rows: each claimed once, taken over when a lease runs out, fenced, backed off, visible when stuck."""

import asyncio
from collections import Counter
from uuid import UUID

from commonry.kit.db import Database, run, value
from commonry.kit.due import STUCK_AFTER, Claim, Queue
from commonry.kit.ids import new_id

DONE = """
    UPDATE chores SET due = NULL, holder = NULL, lease_until = NULL, done = done + 1
    WHERE id = %(id)s AND holder = %(holder)s"""


async def chore(db: Database, when: str = "now()") -> UUID:
    made = new_id()
    async with db.tx() as tx:
        await tx.execute(f"INSERT INTO chores (id, due) VALUES (%s, {when})", [made])
    return made


async def one(db: Database, query: str, **params: object) -> object:
    async with db.read() as tx:
        return await value(tx, query, params)


async def test_every_row_goes_to_exactly_one_of_many_workers(db: Database) -> None:
    for _ in range(60):
        await chore(db)
    handled: Counter[UUID] = Counter()

    async def handle(claim: Claim) -> None:
        handled[claim.id] += 1
        async with db.tx() as tx:
            await run(tx, DONE, claim._asdict())

    async def worker() -> None:
        queue = Queue(db, "chores")
        while await queue.round(handle, limit=7):
            pass

    await asyncio.gather(*(worker() for _ in range(4)))
    assert len(handled) == 60
    assert set(handled.values()) == {1}


async def test_a_row_is_not_due_before_its_time_nor_while_leased(db: Database) -> None:
    await chore(db, "now() + interval '1 hour'")
    mine = await chore(db)
    queue = Queue(db, "chores")
    assert [c.id for c in await queue.claim(10)] == [mine]
    assert await queue.claim(10) == []


async def test_a_dead_workers_row_is_taken_over_and_the_sleeper_is_fenced(db: Database) -> None:
    await chore(db)
    queue = Queue(db, "chores")
    (dead,) = await queue.claim(1)
    await one(db, "UPDATE chores SET lease_until = now() - interval '1 s' RETURNING id")
    (heir,) = await queue.claim(1)
    assert heir.holder != dead.holder
    async with db.tx() as tx:
        assert await run(tx, DONE, dead._asdict()) == 0
        assert await run(tx, DONE, heir._asdict()) == 1


async def test_a_poison_row_backs_off_becomes_visible_and_stops_nobody(db: Database) -> None:
    poison, good = await chore(db), await chore(db)
    queue = Queue(db, "chores")

    async def handle(claim: Claim) -> None:
        if claim.id == poison:
            raise ValueError("cannot be done")
        async with db.tx() as tx:
            await run(tx, DONE, claim._asdict())

    await queue.round(handle)
    assert await one(db, "SELECT done FROM chores WHERE id = %(id)s", id=good) == 1
    assert await queue.claim(10) == []  # it waits, it is no hot loop
    waits = []
    for _ in range(STUCK_AFTER - 1):
        await one(db, "UPDATE chores SET due = now() WHERE id = %(id)s RETURNING id", id=poison)
        await queue.round(handle)
        waits.append(await one(db, "SELECT extract(epoch FROM due - now()) FROM chores WHERE id = %(id)s", id=poison))
    assert waits[-1] > waits[0] * 4
    assert "cannot be done" in str(await one(db, "SELECT trouble FROM chores WHERE id = %(id)s", id=poison))
    assert await queue.stuck() == 1


async def test_a_sleeping_loop_wakes_at_once(db: Database) -> None:
    queue, done = Queue(db, "chores"), asyncio.Event()

    async def handle(claim: Claim) -> None:
        async with db.tx() as tx:
            await run(tx, DONE, claim._asdict())
        done.set()

    loop = asyncio.create_task(queue.work(handle, every=60))
    await asyncio.sleep(0)
    await chore(db)
    async with asyncio.timeout(10):
        while not done.is_set():
            queue.wake.set()
            await asyncio.sleep(0.01)
    loop.cancel()
