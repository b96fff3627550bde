"""What each step does, once and again: the answers, the entries, the books."""

import contextlib
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from commonry.contracts.money import Money
from commonry.contracts.payments import Purpose
from commonry.contracts.problems import NotValid, PaymentClosed, PaymentDeclined, PaymentDiffers, PaymentTooMuch
from commonry.kit.problems import NotFound, Problem
from commonry.payments.rules import Draft
from commonry.payments.store.ledger import record
from tests.payments.world import World, eur


async def test_an_authorisation_is_made_once_and_answered_the_same(world: World) -> None:
    booking = uuid4()
    first = await world.authorise(booking, 2500)
    assert (first.status, first.amount, first.captured) == ("authorised", eur(2500), eur(0))
    assert await world.authorise(booking, 2500) == first
    assert await world.kinds(booking) == ["authorise"]
    assert await world.balances() == {"limit": -2500, "held": 2500}
    await world.check_books()


async def test_a_declined_card_is_told_and_leaves_nothing(world: World) -> None:
    booking = uuid4()
    for method in ("pm_card_visa_chargeDeclined", "pm_nobody_knows"):
        with pytest.raises(PaymentDeclined):
            await world.authorise(booking, method=method)
    assert await world.balances() == {}
    await world.check_books()


async def test_after_a_decline_another_card_may_be_tried(world: World) -> None:
    booking = uuid4()
    with pytest.raises(PaymentDeclined):
        await world.authorise(booking, method="pm_card_visa_chargeDeclined")
    assert (await world.authorise(booking)).status == "authorised"
    assert (await world.client.capture(booking, "rental")).captured == eur(1000)
    await world.check_books()


async def test_another_order_under_the_same_name_is_refused(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking, 1000)
    with pytest.raises(PaymentDiffers):
        await world.authorise(booking, 1001)
    with pytest.raises(PaymentDiffers):
        await world.authorise(booking, 1000, currency="CHF")


async def test_a_capture_takes_all_once(world: World) -> None:
    booking = await world.paid(1000)
    for amount in (None, eur(1000)):
        again = await world.client.capture(booking, "rental", amount)
        assert (again.status, again.captured) == ("captured", eur(1000))
    assert await world.kinds(booking) == ["authorise", "capture"]
    assert await world.balances() == {"borrower": -1000, "booking": 1000}
    await world.check_books()


async def test_what_cannot_be_captured_is_refused(world: World) -> None:
    booking = uuid4()
    with pytest.raises(NotFound):
        await world.client.capture(booking, "rental")
    await world.authorise(booking, 1000)
    with pytest.raises(PaymentTooMuch):
        await world.client.capture(booking, "rental", eur(1001))
    await world.client.capture(booking, "rental", eur(400))
    for more in (eur(399), eur(401), eur(600)):
        with pytest.raises(PaymentTooMuch):
            await world.client.capture(booking, "rental", more)
    await world.check_books()


async def test_a_capture_the_provider_refuses_leaves_the_hold_to_be_let_go(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking, method="pm_sandbox_captureFails")
    with pytest.raises(PaymentDeclined):
        await world.client.capture(booking, "rental")
    assert (await world.client.void(booking, "rental")).status == "voided"
    assert await world.balances() == {}
    await world.check_books()


@pytest.mark.parametrize("amount", [Money(0, "EUR"), Money(5, "CHF"), Money(0, "CHF")])
async def test_nothing_and_the_wrong_currency_are_mistakes(world: World, amount: Money) -> None:
    booking = await world.paid()
    other = uuid4()
    await world.authorise(other)
    with pytest.raises(NotValid):
        await world.client.refund(booking, "rental", amount, "cancelled")
    with pytest.raises(NotValid):
        await world.client.capture(other, "rental", amount)
    if not amount.amount:
        with pytest.raises(NotValid):
            await world.client.authorise(uuid4(), "rental", world.order(0))


async def test_refunds_happen_once_a_reason(world: World) -> None:
    booking = await world.paid(1000)
    for _ in range(3):
        assert (await world.client.refund(booking, "rental", eur(300), "cancelled")).refunded == eur(300)
    with pytest.raises(PaymentDiffers):
        await world.client.refund(booking, "rental", eur(301), "cancelled")
    assert (await world.client.refund(booking, "rental", eur(700), "late fee waived")).refunded == eur(1000)
    assert await world.balances() == {}
    await world.check_books()


async def test_rule_13_money_is_whole_minor_units_of_any_exponent(world: World) -> None:
    for currency in ("JPY", "EUR", "KWD"):
        booking = uuid4()
        await world.authorise(booking, 12345, currency=currency)
        assert (await world.client.capture(booking, "rental")).captured == Money(12345, currency)
    assert await world.balances() == {"borrower": -3 * 12345, "booking": 3 * 12345}
    kinds = "SELECT DISTINCT pg_typeof(amount)::text FROM postings"
    assert await world.rows(kinds) == [("bigint",)]
    await world.check_books()


async def test_rule_14_every_entry_balances_or_is_not_written(world: World) -> None:
    for lines in ((("a", 5), ("b", -4)), (("a", 5),), ()):
        with pytest.raises(psycopg.errors.CheckViolation):
            await _write(world, lines)
    assert await world.rows("SELECT id FROM entries WHERE kind IN ('test', 'x')") == []


async def _write(world: World, lines: tuple[tuple[str, int], ...]) -> None:
    async with world.db.tx() as tx:
        if not lines:
            await tx.execute("INSERT INTO entries (id, kind, cause) VALUES (gen_random_uuid(), 'x', 'x')")
        await record(tx, Draft(uuid4(), "test", f"test:{lines}", "EUR", lines))


async def test_rule_14_negative_control_without_the_trigger_an_unbalanced_entry_is_written(own_world: World) -> None:
    world = own_world
    await world.run("DROP TRIGGER every_entry_balances ON postings")
    await _write(world, (("a", 5), ("b", -4)))
    with pytest.raises(AssertionError, match="every entry balances"):
        await world.check_books()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET booking_id = NULL",
        "UPDATE postings SET amount = amount + 1",
        "DELETE FROM entries",
        "DELETE FROM postings",
        "TRUNCATE postings",
        "TRUNCATE entries CASCADE",
    ],
)
async def test_rule_14_the_ledger_is_never_rewritten(world: World, change: LiteralString) -> None:
    await world.paid()
    with pytest.raises(psycopg.errors.CheckViolation, match="only ever added to"):
        await world.run(change)


@pytest.mark.parametrize(("claimed", "released"), [(None, 20000), (1, 19999), (7500, 12500), (20000, 0)])
async def test_rule_14_deposit_held_is_released_plus_captured(world: World, claimed: int | None, released: int) -> None:
    booking = uuid4()
    await world.authorise(booking, 20000, "deposit")
    assert (await world.balances())["held"] == 20000
    if claimed is None:
        await world.client.void(booking, "deposit")
    else:
        await world.client.capture(booking, "deposit", eur(claimed))
    assert await _moved(world, booking, "release") == -released
    assert await _moved(world, booking, "capture") == -(claimed or 0)
    assert "held" not in await world.balances()
    await world.check_books()


async def _moved(world: World, booking: UUID, kind: str) -> int:
    query: LiteralString = """
        SELECT coalesce(sum(p.amount), 0)::bigint FROM postings p JOIN entries e ON e.id = p.entry_id
        WHERE e.booking_id = %s AND e.kind = %s AND p.account LIKE 'held:%%'"""
    return (await world.rows(query, booking, kind))[0][0]


async def test_rule_14_refunds_never_exceed_what_was_captured(world: World) -> None:
    booking = uuid4()
    await world.authorise(booking, 1000)
    with pytest.raises(PaymentTooMuch):
        await world.client.refund(booking, "rental", eur(1), "not captured yet")
    await world.client.capture(booking, "rental", eur(600))
    await world.client.refund(booking, "rental", eur(400), "first")
    with pytest.raises(PaymentTooMuch):
        await world.client.refund(booking, "rental", eur(201), "second")
    assert (await world.client.refund(booking, "rental", eur(200), "second")).refunded == eur(600)
    with pytest.raises(psycopg.errors.CheckViolation):
        await world.run("UPDATE payments SET refunded = refunded + 1 WHERE booking_id = %s", booking)
    await world.check_books()


async def test_rule_16_a_deposit_is_held_and_never_charged_unless_claimed(world: World) -> None:
    booking = await world.paid(3000)
    await world.authorise(booking, 20000, "deposit")
    statement = (await world.call("/api/v1/payments/statement", world.borrower)).json["data"]
    assert [line["amount"] for line in statement] == [-3000]
    await world.client.void(booking, "deposit")
    await world.client.pay_out(booking)
    assert await world.balances() == {"borrower": -3000, "owner": 3000}
    assert await world.effects(booking) == [("voided", 0, 0), ("captured", 3000, 0)]


async def test_rule_18_a_void_leaves_a_tombstone_even_where_nothing_was(world: World) -> None:
    booking = uuid4()
    for _ in range(2):
        gone = await world.client.void(booking, "rental")
        assert (gone.status, gone.amount.amount, gone.captured.amount) == ("voided", 0, 0)
    for attempt in (world.authorise(booking), world.client.capture(booking, "rental")):
        with pytest.raises(PaymentClosed):
            await attempt
    assert await world.balances() == {}
    await world.check_books()


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
async def test_rule_18_what_was_voided_cannot_be_revived(world: World, method: str) -> None:
    booking = uuid4()
    with contextlib.suppress(PaymentDeclined):
        await world.authorise(booking, method=method)
    await world.client.void(booking, "rental")
    for attempt in (world.authorise(booking, method=method), world.client.capture(booking, "rental")):
        with pytest.raises(PaymentClosed):
            await attempt
    with pytest.raises(PaymentTooMuch):
        await world.client.refund(booking, "rental", eur(1), "x")
    assert await world.balances() == {}
    await world.check_books()


async def test_what_is_captured_stays_captured(world: World) -> None:
    booking = await world.paid()
    assert (await world.client.void(booking, "rental")).status == "captured"
    assert await world.balances() == {"borrower": -1000, "booking": 1000}


async def test_a_payout_credits_the_owner_once_less_the_fee(world: World) -> None:
    world = World(world.db, fee_percent=15)
    booking = await world.paid(999)
    await world.authorise(booking, 10000, "deposit")
    await world.client.capture(booking, "deposit", eur(3000))
    late: Purpose = "late_fee"
    await world.authorise(booking, 103, late)
    await world.client.capture(booking, late)
    for _ in range(2):
        await world.client.pay_out(booking)
    # half up, once per payment: 149.85 → 150 and 15.45 → 15; the claimed deposit bears no fee
    assert await world.balances() == {"borrower": -4102, "owner": 849 + 88 + 3000, "platform": 165}
    await world.check_books()


async def test_a_payout_pays_what_was_not_given_back(world: World) -> None:
    booking, whole = await world.paid(1000), await world.paid(500)
    await world.client.refund(booking, "rental", eur(400), "cancelled")
    await world.client.refund(whole, "rental", eur(500), "cancelled")
    await world.client.pay_out(booking)
    await world.client.pay_out(whole)
    await world.client.pay_out(uuid4())
    assert await world.balances() == {"borrower": -600, "owner": 600}
    await world.check_books()


async def test_what_is_refunded_after_the_payout_is_taken_back_from_the_owner(world: World) -> None:
    booking = await world.paid(1000)
    await world.client.pay_out(booking)
    await world.client.refund(booking, "rental", eur(250), "goodwill")
    assert await world.balances() == {"borrower": -750, "owner": 750}
    await world.check_books()


async def test_what_is_captured_after_a_payout_waits_for_the_next(world: World) -> None:
    booking = await world.paid(1000)
    await world.client.pay_out(booking)
    await world.authorise(booking, 200, "extension")
    await world.client.capture(booking, "extension")
    assert await world.client.open_money(world.owner)
    await world.client.pay_out(booking)
    assert await world.balances() == {"borrower": -1200, "owner": 1200}
    assert not await world.client.open_money(world.owner)


@pytest.mark.parametrize("path", ["rentals", "Rental", "x"])
async def test_an_unknown_purpose_is_a_mistake(world: World, path: str) -> None:
    with pytest.raises(Problem) as refused:
        await world.client.authorise(uuid4(), path, world.order())  # type: ignore[arg-type]
    assert 400 <= refused.value.status < 500


async def test_events_are_taken_and_move_nothing(world: World) -> None:
    await world.client.tell("MemberErased", str(uuid4()), {"member_id": str(uuid4())})
    await world.client.tell("SomethingNew", str(uuid4()), {})
    assert await world.balances() == {}
