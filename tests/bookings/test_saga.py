"""The saga against the real calendar and ledger: every way a booking can go, every place where it can be cut off."""

import asyncio
from typing import Any

import pytest

from commonry.bookings.rules.transitions import STEPS
from commonry.contracts.inventory import Hold
from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise
from commonry.contracts.problems import PaymentClosed, ReservationReleased
from commonry.contracts.words import Period
from commonry.kit import failpoints
from tests.town import Town, period

DEPOSIT = {"amount": 5000, "currency": "EUR"}


async def state(town: Town, booking: Any) -> str:
    return await town.sql("bookings", "SELECT state FROM bookings WHERE id = %(id)s", id=booking["id"])


async def is_free(town: Town, item: Any, *, start: float = 48, hours: float = 24) -> bool:
    span = period(start, hours)
    query = "&".join(f"{k}={v.replace('+', '%2B')}" for k, v in span.items())
    _, calendar = await town.call("GET", f"/items/{item['id']}/availability?{query}")
    return calendar["busy"] == []


async def nothing_is_left(town: Town, item: Any, booking_id: str) -> None:
    assert await is_free(town, item)
    assert await town.money_held(booking_id) == 0
    assert await town.ledger_balances()


async def only_booking(town: Town) -> str:
    return str(await town.sql("bookings", "SELECT id FROM bookings"))


async def test_instant_booking_from_asking_to_reviews(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(deposit=DEPOSIT)
    status, booking = await borrower.books(item, start=0)
    assert (status, booking["state"], booking["deposit_state"]) == (201, "confirmed", "held")
    assert not await is_free(town, item, start=0)
    assert (await borrower.does("pickup", booking))[1]["state"] == "in_use"
    status, done = await owner.does("return", booking, {"condition": "good"})
    assert (done["state"], done["deposit_state"]) == ("completed", "released")
    assert await is_free(town, item, start=0)
    assert await town.ledger_balances()
    assert (await borrower.does("review", booking, {"rating": 5, "text": "Good"}))[0] == 201
    assert (await borrower.does("review", booking, {"rating": 1}))[1]["type"].endswith("already-reviewed")


async def test_request_is_accepted_and_used(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    status, booking = await borrower.books(item, start=1)
    assert (status, booking["state"]) == (201, "requested")
    assert await town.sql("payments", "SELECT captured FROM payments") == 0  # rule 16: only set aside
    assert (await borrower.does("accept", booking))[0] == 403
    assert (await owner.does("accept", booking))[1]["state"] == "confirmed"
    assert await town.sql("payments", "SELECT captured FROM payments") == 1000
    assert (await owner.does("accept", booking))[0] == 409


async def test_declined_card_frees_the_item(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    status, problem = await borrower.books(item, card="pm_card_visa_chargeDeclined")
    assert (status, problem["type"]) == (402, "/problems/payment-declined")
    await nothing_is_left(town, item, await only_booking(town))


@pytest.mark.parametrize("card", ["pm_sandbox_captureFails", "pm_sandbox_timeout"])
async def test_failing_cards_are_compensated(town: Town, card: str) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    answers = asyncio.create_task(borrower.books(item, card=card))
    while not answers.done():
        await town.work()
        await asyncio.sleep(0.05)
    status, problem = await answers
    assert (status, problem["type"]) == (402, "/problems/payment-declined")
    await nothing_is_left(town, item, await only_booking(town))
    assert await town.sql("payments", "SELECT count(*) FROM sandbox_charges WHERE captured > 0") == 0


async def test_declining_owner_costs_nothing(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    _, booking = await borrower.books(item)
    status, done = await owner.does("decline", booking, {"note": "Away that week"})
    assert (status, done["state"]) == (200, "declined")
    await nothing_is_left(town, item, booking["id"])


async def test_an_unanswered_request_expires(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    _, booking = await borrower.books(item)
    await town.lease_over(booking["id"])
    await town.work()
    assert await state(town, booking) == "expired"
    await nothing_is_left(town, item, booking["id"])


async def test_rule_17_borrower_cancelling_late_gets_the_policys_share(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(cancellation="moderate")
    _, booking = await borrower.books(item, start=30)
    query = "UPDATE bookings SET created_at = created_at - interval '2 h' WHERE id = %(id)s RETURNING id"
    await town.sql("bookings", query, id=booking["id"])
    _, done = await borrower.does("cancel", booking)
    assert (done["state"], done["refund"]) == ("cancelled", {"amount": 500, "currency": "EUR"})
    assert await town.ledger_balances()
    _, statement = await owner.call("GET", "/payments/statement")
    assert sum(line["amount"] for line in statement["data"]) == 500


async def test_rule_17_owner_cancelling_refunds_all(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(cancellation="strict")
    _, booking = await borrower.books(item, start=30)
    _, done = await owner.does("cancel", booking)
    assert (done["state"], done["refund"]["amount"]) == ("cancelled", 1000)
    await nothing_is_left(town, item, booking["id"])


async def test_rule_16_deposit_is_held_a_day_before_the_pickup(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(deposit=DEPOSIT)
    _, booking = await borrower.books(item, start=72)
    assert booking["deposit_state"] == "due"
    assert await town.sql("payments", "SELECT count(*) FROM payments WHERE purpose = 'deposit'") == 0
    due = "SELECT due = starts_at - interval '24 h' FROM bookings WHERE id = %(id)s"
    assert await town.sql("bookings", due, id=booking["id"])


async def test_damage_is_paid_from_the_deposit_when_a_manager_says_so(town: Town) -> None:
    owner, borrower, manager = await town.person(), await town.person(), await town.person(manages=True)
    item = await owner.lists(deposit=DEPOSIT)
    _, booking = await borrower.books(item, start=0)
    await borrower.does("pickup", booking)
    assert (await borrower.does("return", booking))[1]["state"] == "returned"
    assert (await owner.does("dispute", booking, {"note": "Cracked"}))[1]["disputed"] is True
    assert (await borrower.does("resolve", booking, {}))[0] == 403
    _, done = await manager.does("resolve", booking, {"from_deposit": {"amount": 2000, "currency": "EUR"}})
    assert (done["state"], done["deposit_state"]) == ("completed", "captured")
    assert await town.sql("payments", "SELECT captured FROM payments WHERE purpose = 'deposit'") == 2000
    assert await town.ledger_balances()


async def brought_back_late(town: Town, *, hours: int, **terms: Any) -> Any:
    """A day's loan at 10.00 a day that came back `hours` late."""
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(**terms)
    _, booking = await borrower.books(item, start=0)
    await borrower.does("pickup", booking)
    earlier = (
        "UPDATE bookings SET starts_at = starts_at - make_interval(hours => %(h)s),"
        " ends_at = ends_at - make_interval(hours => %(h)s) WHERE id = %(id)s RETURNING id"
    )
    await town.sql("bookings", earlier, id=booking["id"], h=24 + hours)
    return (await owner.does("return", booking))[1]


async def test_rule_17_a_late_fee_comes_from_the_deposit(town: Town) -> None:
    done = await brought_back_late(town, hours=30, deposit=DEPOSIT)
    assert (done["state"], done["deposit_state"]) == ("completed", "captured")
    assert await town.sql("payments", "SELECT captured FROM payments WHERE purpose = 'deposit'") == 2000
    assert await town.ledger_balances()


async def test_rule_17_a_late_fee_without_a_deposit_is_charged(town: Town) -> None:
    done = await brought_back_late(town, hours=2)
    assert done["state"] == "completed"
    assert await town.sql("payments", "SELECT captured FROM payments WHERE purpose = 'late_fee'") == 1000
    assert await town.ledger_balances()


async def test_rule_19_after_seven_days_what_is_written_would_not_be_blind(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(price=None)
    _, booking = await borrower.books(item, start=0, card=None)
    await borrower.does("pickup", booking)
    await owner.does("return", booking)
    await borrower.does("review", booking, {"rating": 2, "text": "Dull"})
    late = "UPDATE bookings SET completed_at = completed_at - interval '7 days' WHERE id = %(id)s RETURNING id"
    await town.sql("bookings", late, id=booking["id"])
    assert (await owner.does("review", booking, {"rating": 1}))[0] == 409


async def test_self_service_begins_by_itself(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(handover="self_service", price=None)
    _, booking = await borrower.books(item, start=0, card=None)
    assert booking["state"] == "confirmed"
    await town.work()
    assert await state(town, booking) == "in_use"
    assert (await borrower.does("pickup", booking, {"condition": "good"}))[0] == 200


async def test_early_pickup_needs_a_free_calendar(town: Town) -> None:
    owner, borrower, other = await town.person(), await town.person(), await town.person()
    item = await owner.lists(price=None)
    _, later = await borrower.books(item, start=30, card=None)
    _, before = await other.books(item, start=5, hours=20, card=None)
    status, problem = await borrower.does("pickup", later)
    assert (status, problem["type"]) == (409, "/problems/item-taken")
    await other.does("cancel", before)
    assert (await borrower.does("pickup", later))[1]["state"] == "in_use"
    assert not await is_free(town, item, start=5, hours=2)


async def test_rule_10_late_item_stays_occupied_and_the_next_is_at_risk(town: Town) -> None:
    owner, borrower, other = await town.person(), await town.person(), await town.person()
    item = await owner.lists(price=None)
    _, booking = await borrower.books(item, start=0, hours=2, card=None)
    _, following = await other.books(item, start=2.5, hours=2, card=None)
    await borrower.does("pickup", booking)
    await town.sql(
        "bookings",
        "UPDATE bookings SET starts_at = starts_at - interval '4 h', ends_at = ends_at - interval '4 h', due = now()"
        " WHERE id = %(id)s RETURNING id",
        id=booking["id"],
    )
    await town.work()
    _, late = await borrower.call("GET", f"/bookings/{booking['id']}")
    _, warned = await other.call("GET", f"/bookings/{following['id']}")
    assert (late["overdue"], warned["at_risk"]) == (True, True)
    await owner.does("return", booking)
    _, calm = await other.call("GET", f"/bookings/{following['id']}")
    assert calm["at_risk"] is False


SUCCESS = ("hold", "authorise", "deposit", "capture", "confirm")
UNDO = ("hold", "authorise", "undo_money", "undo_calendar")


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("step", SUCCESS)
async def test_an_interrupted_step_is_finished_by_another_worker(town: Town, step: str, side: str) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(deposit=DEPOSIT)
    failpoints.arm(f"bookings.{step}.{side}=error*1")
    asked = asyncio.create_task(borrower.books(item, start=0))
    while not asked.done():
        await town.work()
        await asyncio.sleep(0.05)
    status, booking = await asked
    assert (status, booking["state"]) == (201, "confirmed")
    assert await town.money_held(booking["id"]) == 6000
    assert await town.sql("payments", "SELECT count(*) FROM sandbox_charges") == 2
    assert await town.ledger_balances()


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("step", UNDO)
async def test_an_interrupted_undo_is_finished_by_another_worker(town: Town, step: str, side: str) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    failpoints.arm(f"bookings.{step}.{side}=error*1")
    asked = asyncio.create_task(borrower.books(item, card="pm_sandbox_captureFails"))
    while not asked.done():
        await town.work()
        await asyncio.sleep(0.05)
    assert (await asked)[0] == 402
    await nothing_is_left(town, item, await only_booking(town))


@pytest.mark.parametrize("step", ["hold", "authorise", "capture"])
async def test_rule_18_a_step_delayed_past_its_undo_revives_nothing(town: Town, step: str) -> None:
    """The lease's holder sleeps before its step; another worker undoes the booking; then the sleeper wakes."""
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    failpoints.arm(f"bookings.{step}.before=wait*1")
    asleep = asyncio.create_task(borrower.books(item, card="pm_sandbox_captureFails"))
    while not (booking := await town.sql("bookings", "SELECT id FROM bookings WHERE step = %(step)s", step=step)):
        await asyncio.sleep(0.01)
    await town.lease_over(str(booking))
    while await town.work():
        pass
    failpoints.arm("")
    await asleep
    assert await town.sql("bookings", "SELECT state FROM bookings") == "failed"
    await nothing_is_left(town, item, str(booking))


async def test_rule_18_tombstones_refuse_what_comes_too_late(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    _, booking = await borrower.books(item, card="pm_sandbox_captureFails")
    failed = await town.sql("bookings", "SELECT id FROM bookings WHERE state = 'failed'")
    row = (await town.rows("bookings", "SELECT item_id, starts_at, ends_at, borrower_id, owner_id FROM bookings"))[0]
    hold = Hold(item_id=row["item_id"], period=Period(row["starts_at"], row["ends_at"]), quantity=1, seconds=60)
    with pytest.raises(ReservationReleased):
        await town.around.peers.inventory.hold(failed, hold)
    order = Authorise(
        amount=Money(1000, "EUR"), method="pm_sandbox_captureFails", payer=row["borrower_id"], payee=row["owner_id"]
    )
    with pytest.raises(PaymentClosed):
        await town.around.peers.payments.authorise(failed, "rental", order)
    assert booking["booking_id"] == str(failed)


async def test_rule_23_one_key_one_booking(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    span = period(48, 24)
    body = {"item_id": item["id"], "payment_method": "pm_card_visa", **span}
    calls = [borrower.call("POST", "/bookings", body, idempotency_key="k1") for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {a[0] for a in answers} == {201}
    assert len({a[1]["id"] for a in answers}) == 1
    assert await town.sql("payments", "SELECT count(*) FROM sandbox_charges") == 1
    status, problem = await borrower.call("POST", "/bookings", body | {"message": "x"}, idempotency_key="k1")
    assert (status, problem["type"]) == (422, "/problems/idempotency-key-reused")


async def test_rule_23_a_refusal_is_repeated_too(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    body = {"item_id": item["id"], "payment_method": "pm_card_visa_chargeDeclined", **period(48, 24)}
    first = await borrower.call("POST", "/bookings", body, idempotency_key="k2")
    again = await borrower.call("POST", "/bookings", body, idempotency_key="k2")
    assert first[0] == 402
    assert first == again


async def test_rule_21_nobody_books_their_own_item(town: Town) -> None:
    owner = await town.person()
    item = await owner.lists()
    status, problem = await owner.books(item)
    assert (status, problem["type"]) == (409, "/problems/own-item")


async def test_rule_15_a_quoted_price_survives_a_price_change(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    span = period(48, 24)
    _, quote = await borrower.call("POST", "/bookings/quote", {"item_id": item["id"], **span})
    await owner.call("PATCH", f"/items/{item['id']}", {"price": {"amount": 9000, "currency": "EUR", "per": "day"}})
    body = {"item_id": item["id"], "payment_method": "pm_card_visa", **span, "quote_id": quote["quote_id"]}
    status, booking = await borrower.call("POST", "/bookings", body)
    assert (status, booking["total"]) == (201, quote["total"])


async def test_rule_19_reviews_are_double_blind(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(price=None)
    _, booking = await borrower.books(item, start=0, card=None)
    assert (await borrower.does("review", booking, {"rating": 5}))[0] == 409
    await borrower.does("pickup", booking)
    await owner.does("return", booking)
    await borrower.does("review", booking, {"rating": 4, "text": "Fine"})
    reviews = f"/bookings/{booking['id']}/reviews"
    assert (await owner.call("GET", reviews))[1]["data"] == []
    await owner.does("review", booking, {"rating": 5})
    assert len((await owner.call("GET", reviews))[1]["data"]) == 2


async def test_rule_20_the_address_appears_once_confirmed(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request", price=None)
    _, booking = await borrower.books(item, card=None)
    assert "Street" not in str(booking["location"])
    await owner.does("accept", booking)
    _, seen = await borrower.call("GET", f"/bookings/{booking['id']}")
    assert seen["location"]["address"] == "Street 1"


async def test_others_see_nothing_of_a_booking(town: Town) -> None:
    owner, borrower, stranger = await town.person(), await town.person(), await town.person()
    item = await owner.lists(price=None)
    _, booking = await borrower.books(item, card=None)
    for path in ("", "/timeline", "/reviews"):
        assert (await stranger.call("GET", f"/bookings/{booking['id']}{path}"))[0] == 404
    assert (await stranger.does("cancel", booking))[0] == 404
    assert (await stranger.call("GET", "/bookings"))[1]["data"] == []


async def test_every_move_the_saga_makes_is_in_the_table(town: Town) -> None:
    """A step that leads elsewhere than the table says raises instead of moving."""
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    kept = STEPS["hold"]
    STEPS["hold"] = kept._replace(leads_to=("over",))
    try:
        status, booking = await asyncio.wait_for(borrower.books(item), 10)
    finally:
        STEPS["hold"] = kept
    assert (status, booking["state"]) == (202, "pending")
