"""Many at once: one effect. Every race has a negative control, without which it would say nothing.

The negative controls damage a database of their own: without the unique cause and the guard on the status, money is
taken from the ledger twice, and the same assertion fails.
"""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest

from commonry.contracts.payments import Payment
from commonry.contracts.problems import PaymentClosed, PaymentDeclined, PaymentTooMuch
from commonry.kit import failpoints
from commonry.kit.problems import Unavailable
from commonry.payments.rules import Draft
from commonry.payments.store.ledger import record
from tests.payments.world import World, eur

MANY = 50


async def all_of(*attempts: Awaitable[Any]) -> list[Any]:
    """What came of each: an answer, or the problem."""
    return list(await asyncio.gather(*attempts, return_exceptions=True))


def times(n: int, attempt: Any) -> list[Awaitable[Any]]:
    return [attempt() for _ in range(n)]


@pytest.mark.race
async def test_many_authorisations_are_one_hold(world: World) -> None:
    booking = uuid4()
    answers = await all_of(*times(MANY, lambda: world.authorise(booking)))
    assert {a.status for a in answers} == {"authorised"}, answers
    assert await world.effects(booking) == [("authorised", 0, 0)]
    assert await world.kinds(booking) == ["authorise"]
    await world.check_books()


async def capture_many_times(world: World) -> None:
    """The race itself, for the test and its negative controls."""
    booking = uuid4()
    await world.authorise(booking)
    answers = await all_of(*times(MANY, lambda: world.client.capture(booking, "rental", timeout=30)))
    assert {a.status for a in answers} == {"captured"}, answers
    assert await world.kinds(booking) == ["authorise", "capture"]
    assert await world.balances() == {"borrower": -1000, "booking": 1000}


@pytest.mark.race
async def test_many_captures_take_once(world: World) -> None:
    await capture_many_times(world)
    await world.check_books()


REOPEN = """
    CREATE FUNCTION reopen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.status := 'authorised'; NEW.due := NULL; RETURN NEW; END $$;
    CREATE TRIGGER reopen BEFORE UPDATE ON payments
        FOR EACH ROW WHEN (NEW.status = 'captured') EXECUTE FUNCTION reopen();
    ALTER TABLE payments DROP CONSTRAINT captured_means_money_was_taken"""
FORGET_CAUSES = "ALTER TABLE entries DROP CONSTRAINT each_cause_is_written_once"


@pytest.mark.race
async def test_the_unique_cause_alone_keeps_a_capture_single(own_world: World) -> None:
    """The guard on the status is gone: the row is always `authorised` again, and only the cause stands in the way."""
    await own_world.run(REOPEN)
    booking = uuid4()
    await own_world.authorise(booking)
    await all_of(*times(MANY, lambda: own_world.client.capture(booking, "rental", timeout=30)))
    assert await own_world.kinds(booking) == ["authorise", "capture"]


@pytest.mark.race
async def test_negative_control_without_guard_and_cause_a_capture_is_entered_twice(own_world: World) -> None:
    await own_world.run(REOPEN)
    await own_world.run(FORGET_CAUSES)
    booking = uuid4()
    await own_world.authorise(booking)
    await all_of(*times(MANY, lambda: own_world.client.capture(booking, "rental", timeout=30)))
    assert (await own_world.kinds(booking)).count("capture") > 1


@pytest.mark.race
async def test_a_cause_is_written_once_and_not_without_its_constraint(own_world: World) -> None:
    async def write() -> bool:
        async with own_world.db.tx() as tx:
            return await record(tx, Draft(booking, "test", f"{booking}:test", "EUR", (("a", 1), ("b", -1))))

    booking = uuid4()
    assert (await all_of(*times(MANY, write))).count(True) == 1
    await own_world.run(FORGET_CAUSES)
    assert (await all_of(*times(MANY, write))).count(True) == MANY


@pytest.mark.race
async def test_many_refunds_of_one_reason_give_back_once(world: World) -> None:
    booking = await world.paid(1000)
    answers = await all_of(*times(MANY, lambda: world.client.refund(booking, "rental", eur(20), "cancelled")))
    assert {a.refunded.amount for a in answers} == {20}, answers
    assert await world.effects(booking) == [("captured", 1000, 20)]
    await world.check_books()


@pytest.mark.race
async def test_negative_control_without_the_unique_reason_it_is_given_back_again(own_world: World) -> None:
    await own_world.run("ALTER TABLE refunds DROP CONSTRAINT one_refund_a_reason")
    booking = await own_world.paid(1000)
    await all_of(*times(MANY, lambda: own_world.client.refund(booking, "rental", eur(20), "cancelled")))
    with pytest.raises(AssertionError):
        await own_world.check_books()


@pytest.mark.race
async def test_rule_14_many_refunds_never_give_back_more_than_was_taken(world: World) -> None:
    booking = await world.paid(1000)
    answers = await all_of(*(world.client.refund(booking, "rental", eur(70), f"reason {n}") for n in range(MANY)))
    assert sum(isinstance(a, Payment) for a in answers) == 14
    assert sum(isinstance(a, PaymentTooMuch) for a in answers) == MANY - 14, answers
    assert await world.effects(booking) == [("captured", 1000, 980)]
    await world.check_books()


@pytest.mark.race
async def test_many_payouts_credit_once(world: World) -> None:
    booking = await world.paid(1000)
    assert set(await all_of(*times(MANY, lambda: world.client.pay_out(booking)))) == {None}
    assert await world.balances() == {"borrower": -1000, "owner": 1000}
    await world.check_books()


@pytest.mark.race
@pytest.mark.parametrize("seed", range(4))
async def test_rule_18_a_void_racing_its_authorisation_leaves_no_money_held(world: World, seed: int) -> None:
    """Who is quicker is drawn anew each round, before and behind the provider; late twins come too."""
    rng = random.Random(seed)
    for _ in range(15):
        failpoints.arm(",".join(f"payments.{p}=sleep:{rng.choice((0, 0.002, 0.006))}" for p in _POINTS))
        booking = uuid4()
        rivals = [world.client.void(booking, "rental"), *times(2, lambda b=booking: world.authorise(b))]
        rng.shuffle(rivals)
        answers = await all_of(*rivals)
        assert all(isinstance(a, Payment | PaymentClosed) for a in answers), answers
        assert [status for status, _, _ in await world.effects(booking)] == ["voided"]
        with pytest.raises(PaymentClosed):
            await world.authorise(booking)
    assert await world.balances() == {}
    await world.check_books()


_POINTS = [f"{step}.{moment}" for step in ("authorise", "void", "capture") for moment in ("asking", "answered")]


@pytest.mark.race
@pytest.mark.parametrize("seed", range(3))
async def test_a_void_racing_a_capture_ends_one_way(world: World, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(15):
        booking = uuid4()
        await world.authorise(booking)
        failpoints.arm(",".join(f"payments.{p}=sleep:{rng.choice((0, 0.002, 0.006))}" for p in _POINTS))
        rivals = [world.client.void(booking, "rental"), world.client.capture(booking, "rental", eur(700))]
        rng.shuffle(rivals)
        answers = await all_of(*rivals)
        failpoints.arm("")
        ends = {a.status for a in answers if isinstance(a, Payment)}
        assert len(ends) == 1, answers
        assert await world.effects(booking) in ([("voided", 0, 0)], [("captured", 700, 0)])
    await world.check_books()


@pytest.mark.race
async def test_everything_at_once_keeps_the_books(world: World) -> None:
    rng = random.Random(1)
    bookings = [uuid4() for _ in range(8)]
    await all_of(*(world.authorise(b) for b in bookings))
    wild: list[Any] = [
        world.authorise,
        lambda b: world.client.capture(b, "rental", eur(600), timeout=30),
        lambda b: world.client.void(b, "rental"),
        lambda b: world.client.refund(b, "rental", eur(rng.choice((100, 400))), rng.choice(("x", "y", "z"))),
        world.client.pay_out,
    ]
    answers = await all_of(*(rng.choice(wild)(b) for _ in range(25) for b in bookings))
    assert not [a for a in answers if isinstance(a, Unavailable | PaymentDeclined)]
    await world.check_books()
