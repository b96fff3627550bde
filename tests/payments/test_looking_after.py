"""What payments does unasked: abandoned authorisations are let go, holds renewed, reserved refunds finished."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from commonry.contracts.problems import PaymentClosed
from commonry.kit import clock, failpoints
from commonry.kit.problems import InternalError, Unavailable
from tests.payments.world import World, eur


@pytest.fixture
async def world(db: Any) -> World:
    """Impatient, and nothing that an earlier test left behind is due."""
    world = World(db, provider_seconds=0.5)
    await world.run("UPDATE payments SET due = due + interval '100 years' WHERE due IS NOT NULL")
    return world


async def status(world: World, booking: UUID) -> list[Any]:
    return await world.rows(
        "SELECT status, charge, charges, due IS NULL, trouble FROM payments WHERE booking_id = %s", booking
    )


async def test_an_authorisation_nobody_asks_about_is_let_go(world: World) -> None:
    booking = uuid4()
    with pytest.raises(Unavailable):
        await world.authorise(booking, method="pm_sandbox_timeout")
    assert await world.look_after() == 0
    with clock.at(clock.now() + timedelta(minutes=16)):
        assert await world.look_after() == 1
    assert await status(world, booking) == [("voided", 0, 0, True, None)]
    assert await world.effects(booking) == [("voided", 0, 0)]
    with pytest.raises(PaymentClosed):
        await world.authorise(booking, method="pm_sandbox_timeout")
    await world.check_books()


async def test_asking_again_keeps_an_authorisation_alive(world: World) -> None:
    booking = uuid4()
    for minutes in (0, 10, 20):
        with clock.at(clock.now() + timedelta(minutes=minutes)), pytest.raises(Unavailable):
            await world.authorise(booking, method="pm_sandbox_timeout")
    with clock.at(clock.now() + timedelta(minutes=30)):
        assert await world.look_after() == 0
    await world.client.void(booking, "rental")


async def test_rule_16_a_hold_is_renewed_before_it_lapses(world: World) -> None:
    booking = uuid4()
    held = await world.authorise(booking, 20000, "deposit")
    assert held.renew_before is not None
    with clock.at(held.renew_before - timedelta(minutes=1)):
        assert await world.look_after() == 0
    with clock.at(held.renew_before):
        assert await world.look_after() == 1
        again = await world.authorise(booking, 20000, "deposit")
    assert again.renew_before is not None
    assert again.renew_before > held.renew_before
    assert await world.effects(booking) == [("voided", 0, 0), ("authorised", 0, 0)]
    await world.check_books()
    assert (await world.client.capture(booking, "deposit", eur(5000))).captured == eur(5000)
    assert await world.effects(booking) == [("voided", 0, 0), ("captured", 5000, 0)]
    assert await world.kinds(booking) == ["authorise", "capture", "release"]
    await world.check_books()


async def test_a_renewed_hold_can_be_let_go(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking, 20000, "deposit")
    await world.make_due(booking)
    await world.look_after()
    await world.client.void(booking, "deposit")
    assert {s for s, _, _ in await world.effects(booking)} == {"voided"}
    await world.check_books()


STEPS = ["authorise.asking", "authorise.answered", "void.asking", "void.answered"]


@pytest.mark.parametrize("where", STEPS)
@pytest.mark.parametrize("then", ["renew", "void", "capture"])
async def test_rule_16_dying_anywhere_in_a_renewal_leaves_one_hold(world: World, where: str, then: str) -> None:
    booking = uuid4()
    await world.authorise(booking, 20000, "deposit")
    failpoints.arm(f"payments.{where}=error*1")
    await world.make_due(booking)
    await world.look_after()
    assert (await status(world, booking))[0][4].startswith("RuntimeError")
    if then != "renew":
        await _goes_on(world, booking, then)
    await world.make_due(booking)
    await world.look_after()
    statuses = [s for s, _, _ in await world.effects(booking)]
    live = {"renew": "authorised", "void": "voided", "capture": "authorised"}[then]
    assert statuses.count(live) == (1 if then != "void" else len(statuses))
    await world.check_books()


async def _goes_on(world: World, booking: UUID, then: str) -> None:
    if then == "void":
        assert (await world.client.void(booking, "deposit")).status == "voided"
    else:
        with pytest.raises(Unavailable):  # until the renewal is finished
            await world.client.capture(booking, "deposit")


async def test_a_renewal_the_provider_declines_keeps_the_old_hold(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking, 20000, "deposit")
    await world.run("UPDATE payments SET method = 'pm_card_visa_chargeDeclined' WHERE booking_id = %s", booking)
    await world.make_due(booking)
    await world.look_after()
    assert await world.effects(booking) == [("authorised", 0, 0), ("declined", 0, 0)]
    assert (await status(world, booking))[0][4] == "the provider declined to renew the hold"
    assert (await world.client.capture(booking, "deposit")).captured == eur(20000)
    await world.check_books()


@pytest.mark.race
async def test_a_renewal_racing_capture_or_void_never_takes_or_holds_twice(world: World) -> None:
    world = World(world.db)
    for round in range(24):
        booking = uuid4()
        await world.authorise(booking, 900, "deposit")
        await world.make_due(booking)
        points = [
            f"payments.{step}=sleep:{(round * n) % 7 / 1000}" for n, step in enumerate([*STEPS, "capture.asking"], 1)
        ]
        failpoints.arm(",".join(points))
        rival = world.client.void if round % 2 else world.client.capture
        await asyncio.gather(world.look_after(), rival(booking, "deposit"), return_exceptions=True)
        failpoints.arm("")
        await world.make_due(booking)
        await world.look_after()
        final = await rival(booking, "deposit")
        assert final.status == ("voided" if round % 2 else "captured")
    await world.check_books()


async def test_a_capture_that_dies_while_its_hold_is_renewed_is_found_and_not_held_again(world: World) -> None:
    world, booking = World(world.db), uuid4()
    await world.authorise(booking, 900, "deposit")
    await world.make_due(booking)
    capture = "payments.capture.asking=sleep:0.3,payments.capture.answered=error*1"
    failpoints.arm(f"{capture},payments.authorise.answered=sleep:0.6")
    dying = asyncio.create_task(world.client.capture(booking, "deposit", eur(500), timeout=30))
    await asyncio.sleep(0.1)
    await world.look_after()
    with pytest.raises(InternalError):
        await dying
    assert sorted(await world.effects(booking)) == [("captured", 500, 0), ("voided", 0, 0)]
    assert (await status(world, booking))[0][0] == "captured"
    await world.check_books()


@pytest.mark.parametrize("where", ["asking", "answered"])
async def test_a_refund_whose_asker_died_is_finished(world: World, where: str) -> None:
    booking = await world.paid()
    failpoints.arm(f"payments.refund.{where}=error*1")
    with pytest.raises(InternalError):
        await world.client.refund(booking, "rental", eur(400), "cancelled")
    with clock.at(clock.now() + timedelta(minutes=16)):
        assert await world.look_after() == 1
    assert await world.effects(booking) == [("captured", 1000, 400)]
    assert (await status(world, booking))[0][3:] == (True, None)
    assert await world.balances() == {"borrower": -600, "booking": 600}
    await world.check_books()
