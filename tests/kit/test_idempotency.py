"""Rule 23 where it lives: the key and the effect are one transaction, twins wait, another body is refused."""

import asyncio

import pytest

from commonry.kit import idempotency
from commonry.kit.db import Database, Tx, value
from commonry.kit.idempotency import Key, fingerprint
from commonry.kit.problems import IdempotencyKeyReused

KEY = Key("someone", "k", fingerprint("POST", "/x", b"{}"))


async def effect(db: Database, key: Key) -> bytes:
    """Do something once and answer; the answer kept before when it was done already."""
    async with db.tx() as tx:
        if kept := await idempotency.claim(tx, key):
            return kept.answer or b""
        await asyncio.sleep(0.02)  # long enough for every twin to be waiting
        await tx.execute("INSERT INTO events_seen (id) VALUES (gen_random_uuid())")
        await idempotency.keep(tx, key, 201, {"location": "/x/1"}, b"made")
        return b"made"


async def effects(db: Database) -> int:
    async with db.read() as tx:
        return await value(tx, "SELECT count(*) FROM events_seen")


async def test_rule_23_many_at_once_have_one_effect_and_one_answer(db: Database) -> None:
    answers = await asyncio.gather(*(effect(db, KEY) for _ in range(8)))
    assert set(answers) == {b"made"}
    assert await effects(db) == 1


async def test_rule_23_another_body_under_the_same_key_is_refused(db: Database) -> None:
    await effect(db, KEY)
    with pytest.raises(IdempotencyKeyReused):
        await effect(db, KEY._replace(fingerprint=fingerprint("POST", "/x", b"{1}")))


async def test_keys_of_others_are_others(db: Database) -> None:
    await effect(db, KEY)
    await effect(db, KEY._replace(scope="someone else"))
    assert await effects(db) == 2


async def test_an_effect_that_fails_leaves_no_key(db: Database) -> None:
    async def half(tx: Tx) -> None:
        await idempotency.claim(tx, KEY)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.transact(half)
    assert await effect(db, KEY) == b"made"
    assert await effects(db) == 1


async def test_work_that_goes_on_leaves_a_reference_until_its_answer_is_kept(db: Database) -> None:
    async with db.tx() as tx:
        await idempotency.claim(tx, KEY, "the-booking")
    async with db.read() as tx:
        kept = await idempotency.recall(tx, KEY)
        assert kept is not None
        assert (kept.status, kept.headers) == (None, {"reference": "the-booking"})
        await idempotency.keep(tx, KEY, 201, {}, b"first")
        await idempotency.keep(tx, KEY, 402, {}, b"second")
        kept = await idempotency.recall(tx, KEY)
    assert kept is not None
    assert (kept.status, kept.answer) == (201, b"first")
