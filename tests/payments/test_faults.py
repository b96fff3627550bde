"""A provider that is slow, silent or dies with us half-way: asked again, it moves the money once.

`payments.authorise.answered=error` is our process dying between the provider's effect and our writing it down.
"""

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from commonry.contracts.problems import PaymentClosed, PaymentDeclined
from commonry.kit import failpoints
from commonry.kit.db import value
from commonry.kit.problems import InternalError, Unavailable
from commonry.payments.provider import Charge
from commonry.payments.sandbox import Sandbox
from tests.payments.world import World, eur


@pytest.fixture
def hasty(db: Any) -> World:
    """A till that waits for its provider for a third of a second only."""
    return World(db, provider_seconds=0.3)


async def test_a_provider_that_never_answers_charges_once_however_often_it_is_asked(hasty: World) -> None:
    booking = uuid4()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await hasty.authorise(booking, method="pm_sandbox_timeout")
        assert 0.25 < time.monotonic() - began < 3
    assert await hasty.effects(booking) == [("authorised", 0, 0)]
    assert (await hasty.client.void(booking, "rental")).status == "voided"
    assert await hasty.effects(booking) == [("voided", 0, 0)]
    with pytest.raises(PaymentClosed):
        await hasty.authorise(booking, method="pm_sandbox_timeout")
    await hasty.check_books()


async def test_a_slow_provider_is_waited_for(hasty: World) -> None:
    hasty = World(hasty.db, provider_seconds=1.0)
    began = time.monotonic()
    assert (await hasty.authorise(uuid4(), method="pm_sandbox_slow")).status == "authorised"
    assert time.monotonic() - began >= 0.7


async def test_what_is_not_answered_yet_cannot_be_captured(hasty: World) -> None:
    booking = uuid4()
    with pytest.raises(Unavailable):
        await hasty.authorise(booking, method="pm_sandbox_timeout")
    with pytest.raises(Unavailable):
        await hasty.client.capture(booking, "rental")
    await hasty.client.void(booking, "rental")


@pytest.mark.parametrize("asked", ["asking", "answered"])
async def test_dying_around_the_authorisation_charges_once(world: World, asked: str) -> None:
    booking = uuid4()
    failpoints.arm(f"payments.authorise.{asked}=error*1")
    with pytest.raises(InternalError):
        await world.authorise(booking)
    assert await world.kinds(booking) == []
    assert (await world.authorise(booking)).status == "authorised"
    assert await world.effects(booking) == [("authorised", 0, 0)]
    assert await world.kinds(booking) == ["authorise"]
    await world.check_books()


@pytest.mark.parametrize("asked", ["asking", "answered"])
async def test_dying_around_the_capture_takes_once(world: World, asked: str) -> None:
    booking = uuid4()
    await world.authorise(booking, 900)
    failpoints.arm(f"payments.capture.{asked}=error*1")
    with pytest.raises(InternalError):
        await world.client.capture(booking, "rental", eur(300))
    assert (await world.client.capture(booking, "rental", eur(300))).captured == eur(300)
    assert await world.effects(booking) == [("captured", 300, 0)]
    assert await world.balances() == {"borrower": -300, "booking": 300}
    await world.check_books()


async def test_a_void_after_a_capture_that_died_half_way_writes_the_capture_down(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking)
    failpoints.arm("payments.capture.answered=error*1")
    with pytest.raises(InternalError):
        await world.client.capture(booking, "rental")
    kept = await world.client.void(booking, "rental")
    assert (kept.status, kept.captured) == ("captured", eur(1000))
    await world.check_books()


@pytest.mark.parametrize("asked", ["asking", "answered"])
async def test_dying_around_the_refund_gives_back_once(world: World, asked: str) -> None:
    booking = await world.paid()
    failpoints.arm(f"payments.refund.{asked}=error*1")
    with pytest.raises(InternalError):
        await world.client.refund(booking, "rental", eur(400), "cancelled")
    assert (await world.client.refund(booking, "rental", eur(400), "cancelled")).refunded == eur(400)
    assert await world.effects(booking) == [("captured", 1000, 400)]
    assert await world.balances() == {"borrower": -600, "booking": 600}
    await world.check_books()


@pytest.mark.parametrize("asked", ["asking", "answered"])
async def test_rule_18_a_void_that_is_not_answered_is_asked_again(hasty: World, asked: str) -> None:
    booking = uuid4()
    await hasty.authorise(booking)
    failpoints.arm(f"payments.void.{asked}=sleep:5*1")
    with pytest.raises(Unavailable):
        await hasty.client.void(booking, "rental")
    assert await hasty.kinds(booking) == ["authorise"]
    assert (await hasty.client.void(booking, "rental")).status == "voided"
    await hasty.check_books()


async def test_a_void_that_died_half_way_is_found_out_by_the_capture(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking)
    failpoints.arm("payments.void.answered=error*1")
    with pytest.raises(InternalError):
        await world.client.void(booking, "rental")
    with pytest.raises(PaymentClosed):
        await world.client.capture(booking, "rental")
    assert await world.kinds(booking) == ["authorise", "release"]
    await world.check_books()


class Forgetful(Sandbox):
    """A provider that cannot close a charge it never heard of, as some are."""

    async def void(self, charge: Charge) -> int:
        async with self.db.read() as tx:
            known = await value(tx, "SELECT true FROM sandbox_charges WHERE key = %(key)s", {"key": charge.key})
        return await super().void(charge) if known else 0


async def test_rule_18_a_late_authorisation_is_let_go_even_where_the_provider_forgets(world: World) -> None:
    booking = uuid4()
    till = replace(world.till, provider=Forgetful(world.db, 10))
    failpoints.arm("payments.authorise.asking=sleep:0.4")
    late = asyncio.create_task(till.authorise(booking, "rental", world.order()))
    await asyncio.sleep(0.1)
    assert (await till.void(booking, "rental")).status == "voided"
    with pytest.raises(PaymentClosed):
        await late
    assert await world.effects(booking) == [("voided", 0, 0)]
    await world.check_books()


async def test_a_refund_the_provider_declines_is_as_if_never_asked(world: World) -> None:
    booking = await world.paid()
    await world.run("UPDATE sandbox_charges SET refunded = 900 WHERE starts_with(key, %s)", str(booking))
    with pytest.raises(PaymentDeclined):
        await world.client.refund(booking, "rental", eur(400), "cancelled")
    await world.run("UPDATE sandbox_charges SET refunded = 0 WHERE starts_with(key, %s)", str(booking))
    await world.check_books()
