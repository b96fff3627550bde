"""What people do with a booking: each command is one row of the table in `rules/transitions.py`."""

from typing import Any, cast
from uuid import UUID

from litestar import get, post

from commonry.bookings.api.bookings import Key, visible
from commonry.bookings.rules import policies, views
from commonry.bookings.rules.transitions import COMMANDS
from commonry.bookings.saga.engine import Saga
from commonry.bookings.store import bookings as store
from commonry.bookings.store import handovers
from commonry.bookings.store.bookings import Running
from commonry.contracts.bookings import Booking, Decision, HandoverReport, RefundPreview, Why
from commonry.contracts.money import Money
from commonry.contracts.problems import NotInThatState, TooEarly
from commonry.kit import clock, idempotency
from commonry.kit.auth import Caller
from commonry.kit.problems import Mistake, NotAllowed, NotValid, from_document

PATH = "/api/v1/bookings/{booking_id:uuid}"
SIGNED_IN = cast("dict[str, Any]", {"tags": ["bookings"], "status_code": 200, "security": [{"bearer": []}]})


async def allowed(saga: Saga, booking: UUID, caller: Caller, name: str) -> Running:
    """The booking, if the caller may give this command. Raises NotFound, NotAllowed."""
    row = await visible(saga.db, booking, caller)
    if not views.may(COMMANDS[name].who, row.booking, caller.id, manages=caller.manages):
        raise NotAllowed
    return row


async def give(saga: Saga, row: Running, caller: Caller, name: str, key: Key = None, **changes: Any) -> Booking:
    """Carry the command out, once for each key. Raises NotInThatState, or what its steps were refused for."""
    done = await saga.command(row, name, COMMANDS[name], caller.id, key, **changes)
    refused = done.booking.problem
    if refused and done.booking.state in (row.booking.state, "failed"):
        raise from_document(refused)
    return views.seen_by(done.booking, done.terms.location, caller.id)


@post(PATH + "/accept", summary="The owner says yes", operation_id="accept_booking", **SIGNED_IN)
async def accept(booking_id: UUID, caller: Caller, key: Key, saga: Saga) -> Booking:
    return await give(saga, await allowed(saga, booking_id, caller, "accept"), caller, "accept", key)


@post(PATH + "/decline", summary="The owner says no", operation_id="decline_booking", **SIGNED_IN)
async def decline(booking_id: UUID, caller: Caller, key: Key, saga: Saga, data: Why | None = None) -> Booking:
    row = await allowed(saga, booking_id, caller, "decline")
    return await give(saga, row, caller, "decline", key, note=_note(data))


@post(PATH + "/cancel", summary="Either party cancels", operation_id="cancel_booking", **SIGNED_IN)
async def cancel(booking_id: UUID, caller: Caller, key: Key, saga: Saga, data: Why | None = None) -> Booking:
    row = await allowed(saga, booking_id, caller, "cancel")
    return await give(saga, row, caller, "cancel", key, note=_note(data), refund=_refund(row, caller))


@get(
    PATH + "/refund",
    summary="What a cancellation would give back now",
    operation_id="preview_refund",
    tags=["bookings"],
    security=[{"bearer": []}],
)
async def refund_preview(booking_id: UUID, caller: Caller, saga: Saga) -> RefundPreview:
    row = await allowed(saga, booking_id, caller, "cancel")
    if row.step not in COMMANDS["cancel"].from_:
        raise NotInThatState(state=row.booking.state)
    return RefundPreview(refund=_refund(row, caller) or row.booking.total)


def _note(data: Why | None) -> str:
    return data.note if data else ""


def _refund(row: Running, caller: Caller) -> Money | None:
    """What a borrower gets back by the policy frozen in the booking; None (all of it) when the other side cancels."""
    booking = row.booking
    if booking.total is None or caller.id != booking.borrower_id:
        return None
    due = policies.refund_due(
        booking.total.amount, row.tiers, now=clock.now(), start=booking.from_, booked_at=booking.created_at
    )
    return Money(due, booking.total.currency)


@post(PATH + "/pickup", summary="The item changes hands", operation_id="pick_up", **SIGNED_IN)
async def pickup(booking_id: UUID, caller: Caller, key: Key, saga: Saga, data: HandoverReport | None = None) -> Booking:
    row = await allowed(saga, booking_id, caller, "pickup")
    if row.terms.handover == "self_service" and clock.now() < row.booking.from_:
        raise TooEarly(possible_from=row.booking.from_)
    await _report(saga, row, "pickup", caller, data)
    if row.step == "in_use" and row.terms.handover == "self_service":
        return views.seen_by(row.booking, row.terms.location, caller.id)
    return await give(saga, row, caller, "pickup", key, picked_up=True)


@post(PATH + "/return", summary="The item comes back", operation_id="bring_back", **SIGNED_IN)
async def bring_back(
    booking_id: UUID, caller: Caller, key: Key, saga: Saga, data: HandoverReport | None = None
) -> Booking:
    row = await allowed(saga, booking_id, caller, "return")
    await _report(saga, row, "return", caller, data)
    if row.step == "returned" and caller.id == row.booking.owner_id:
        return await give(saga, row, caller, "approve", key)
    done = await give(saga, row, caller, "return", key, returned=True)
    return await _approved(saga, done, caller, data)


async def _approved(saga: Saga, done: Booking, caller: Caller, data: HandoverReport | None) -> Booking:
    """An owner who takes a thing back in good order has nothing to claim: no need to wait."""
    fine = data is None or data.condition in ("good", "worn")
    if caller.id != done.owner_id or done.state != "returned" or not fine:
        return done
    return await give(saga, await allowed(saga, done.id, caller, "approve"), caller, "approve")


async def _report(saga: Saga, row: Running, kind: str, caller: Caller, data: HandoverReport | None) -> None:
    async with saga.db.read() as tx:
        await handovers.report(tx, row.id, kind, caller.id, data or HandoverReport())


@post(PATH + "/no-show", summary="Nobody came", operation_id="report_no_show", **SIGNED_IN)
async def no_show(booking_id: UUID, caller: Caller, key: Key, saga: Saga) -> Booking:
    row = await allowed(saga, booking_id, caller, "no-show")
    possible = policies.no_show_at(row.booking.from_, saga.settings.no_show_hours)
    if row.step == "confirmed" and clock.now() < possible:
        raise TooEarly(possible_from=possible)
    nothing = row.booking.total and Money(0, row.booking.total.currency)
    return await give(saga, row, caller, "no-show", key, refund=nothing)


@post(PATH + "/dispute", summary="The owner reports a problem", operation_id="dispute_booking", **SIGNED_IN)
async def dispute(booking_id: UUID, data: Why, caller: Caller, key: Key, saga: Saga) -> Booking:
    row = await allowed(saga, booking_id, caller, "approve")
    async with saga.db.tx() as tx:
        again = key and await idempotency.claim(tx, key, str(row.id))
        stopped = await (store.read(tx, row.id) if again else store.dispute(tx, row.id, caller.id, data.note))
        if stopped is None:
            raise NotInThatState(state=row.booking.state)
    return views.seen_by(stopped.booking, stopped.terms.location, caller.id)


@post(PATH + "/resolve", summary="A manager settles a dispute", operation_id="resolve_dispute", **SIGNED_IN)
async def resolve(booking_id: UUID, data: Decision, caller: Caller, key: Key, saga: Saga) -> Booking:
    row = await allowed(saga, booking_id, caller, "resolve")
    claim, deposit = data.from_deposit, row.booking.deposit
    if claim and (deposit is None or claim.currency != deposit.currency or claim.amount > deposit.amount):
        raise NotValid(Mistake("from_deposit", "may not be more than the deposit, in its currency"))
    return await give(saga, row, caller, "resolve", key, claim=claim)


routes = [accept, decline, cancel, refund_preview, pickup, bring_back, no_show, dispute, resolve]
