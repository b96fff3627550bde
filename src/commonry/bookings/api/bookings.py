"""Bookings: made (the request runs the saga at once), listed, read with their timeline."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from commonry.bookings import metrics
from commonry.bookings.api.quotes import priced
from commonry.bookings.rules import views
from commonry.bookings.saga.engine import PATIENCE, Saga
from commonry.bookings.store import bookings as store
from commonry.bookings.store import lists, quotes
from commonry.bookings.store.bookings import Running
from commonry.contracts.bookings import Booking, BookingState, NewBooking, Quote, Timeline
from commonry.contracts.inventory import Terms
from commonry.contracts.problems import OwnItem, QuoteExpired, QuoteMismatch
from commonry.contracts.surroundings import Surroundings
from commonry.kit import clock, idempotency, traces
from commonry.kit.auth import Caller
from commonry.kit.db import Database, Tx
from commonry.kit.due import Claim, new_holder
from commonry.kit.ids import new_id
from commonry.kit.pages import Cursor, Limit, Page, decode, page
from commonry.kit.problems import MEDIA_TYPE, Mistake, NotFound, NotValid, from_document
from commonry.kit.refusals import problem_answer
from commonry.kit.service import json_answer

Role = Literal["borrower", "owner"]
Key = idempotency.Key | None


@post(
    "/api/v1/bookings",
    tags=["bookings"],
    summary="Book an item",
    operation_id="book",
    security=[{"bearer": []}],
    responses={202: ResponseSpec(Booking, description="Still pending after 5 s: look again at its Location.")},
    description="201 confirmed or requested, 202 when still pending after 5 s, 402 declined, 409 taken or not offered.",
)
async def book(data: NewBooking, caller: Caller, key: Key, saga: Saga, db: Database) -> Response[Booking]:
    claim = Claim(new_id(), new_holder())
    begun = await _recalled(db, key) or await _begin(saga.around, key, claim, caller, data)
    if isinstance(begun, idempotency.Kept):
        return await _again(begun, key, saga, caller)
    metrics.reached(begun.booking.state)
    return await _answer(await saga.inline(claim, begun), key, db, caller)


async def _recalled(db: Database, key: Key) -> idempotency.Kept | None:
    if key is None:
        return None
    async with db.read() as tx:
        return await idempotency.recall(tx, key)


async def _begin(
    around: Surroundings, key: Key, claim: Claim, caller: Caller, order: NewBooking
) -> idempotency.Kept | Running:
    """The booking's row, held by us, with the key's reference to it; or what the key kept for a quicker twin."""
    quote, terms = await _price(order, caller, around)

    async def in_transaction(tx: Tx) -> idempotency.Kept | Running:
        if key and (kept := await idempotency.claim(tx, key, str(claim.id))):
            return kept
        return await store.create(tx, claim, caller.id, order, quote, terms, traces.origin())

    if key:
        return await around.db.transact(in_transaction)
    async with around.db.alone() as tx:
        return await in_transaction(tx)


async def _price(order: NewBooking, caller: Caller, around: Surroundings) -> tuple[Quote, Terms]:
    """The quoted price, or today's; everything that can be refused before anything is reserved."""
    quote, terms = await _quoted(order, around) if order.quote_id else (None, None)
    if quote is None or terms is None:
        terms = await around.peers.inventory.terms(order.item_id)
        quote = priced(around, order, terms)
    if caller.id == terms.owner_id:
        raise OwnItem
    if (quote.total or quote.deposit) and not order.payment_method:
        raise NotValid(Mistake("payment_method", "is required: this booking costs money or asks for a deposit"))
    return quote, terms


async def _quoted(order: NewBooking, around: Surroundings) -> tuple[Quote, Terms]:
    async with around.db.read() as tx:
        found = await quotes.recall(tx, order.quote_id) if order.quote_id else None
    if found is None or found[0].expires_at <= clock.now():
        raise QuoteExpired
    quote = found[0]
    if (quote.item_id, quote.from_, quote.to, quote.quantity) != (order.item_id, order.from_, order.to, order.quantity):
        raise QuoteMismatch
    return found


async def _again(kept: idempotency.Kept, key: Key, saga: Saga, caller: Caller) -> Response[Any]:
    """The answer to a key that was used before: the one given then, or the booking's as soon as it has one."""
    headers = kept.headers or {}
    if kept.status is None:
        return await _answer(await saga.settled(UUID(headers["reference"]), PATIENCE), key, saga.db, caller)
    again = json_answer(kept.answer or b"", kept.status, headers | {"idempotency-replayed": "true"})
    again.media_type = MEDIA_TYPE if kept.status >= 400 else again.media_type
    return again


async def _answer(row: Running, key: Key, db: Database, caller: Caller) -> Response[Any]:
    """201, 202 while pending, or the problem it failed with; kept under the key once it is final."""
    made = _respond(row, caller)
    if key and made.status_code != 202:
        async with db.read() as tx:
            await idempotency.keep(tx, key, made.status_code or 201, dict(made.headers), made.content)
    return made


def _respond(row: Running, caller: Caller) -> Response[Any]:
    if row.booking.state == "failed" and row.booking.problem:
        problem = from_document(row.booking.problem | {"booking_id": str(row.id)})
        return problem_answer(problem)
    status = 202 if row.booking.state == "pending" else 201
    seen = msgspec.json.encode(views.seen_by(row.booking, row.terms.location, caller.id))
    return json_answer(seen, status, {"location": f"/api/v1/bookings/{row.id}"})


@get(
    "/api/v1/bookings",
    tags=["bookings"],
    summary="My bookings",
    operation_id="list_bookings",
    security=[{"bearer": []}],
)
async def list_bookings(
    caller: Caller,
    db: Database,
    role: Annotated[Role | None, Parameter(description="Only those in which I am this party.")] = None,
    status: Annotated[BookingState | None, Parameter(description="Only those in this state.")] = None,
    overdue: Annotated[bool | None, Parameter(description="Only those that are late, or are not.")] = None,
    disputed: Annotated[bool | None, Parameter(description="Only those with a reported problem, or without.")] = None,
    at_risk: Annotated[bool | None, Parameter(description="Only those whose item may come back late.")] = None,
    everyone: Annotated[bool, Parameter(query="all", description="Everyone's (managers only).")] = False,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Booking]:
    whose = None if everyone and caller.manages else caller.id
    async with db.read() as tx:
        wanted = lists.Wanted(whose, role, status, overdue, disputed, at_risk)
        rows = await lists.of_member(tx, wanted, limit, _after(cursor))
    seen = [views.seen_by(r.booking, r.terms.location, caller.id) for r in rows]
    return page(seen, limit, "bookings", lambda b: (b.id,))


@get(
    "/api/v1/bookings/{booking_id:uuid}",
    tags=["bookings"],
    summary="One booking",
    operation_id="get_booking",
    security=[{"bearer": []}],
)
async def get_booking(booking_id: UUID, caller: Caller, db: Database) -> Booking:
    row = await visible(db, booking_id, caller)
    return views.seen_by(row.booking, row.terms.location, caller.id)


@get(
    "/api/v1/bookings/{booking_id:uuid}/timeline",
    tags=["bookings"],
    summary="What happened to a booking",
    operation_id="get_timeline",
    security=[{"bearer": []}],
)
async def get_timeline(booking_id: UUID, caller: Caller, db: Database) -> Timeline:
    await visible(db, booking_id, caller)
    async with db.read() as tx:
        return Timeline(data=await lists.timeline(tx, booking_id))


def _after(cursor: str | None) -> UUID | None:
    key = decode("bookings", cursor, tuple[UUID])
    return key[0] if key else None


async def visible(db: Database, booking: UUID, caller: Caller) -> Running:
    """The booking, if the caller is a party of it or a manager; else it does not exist for them."""
    async with db.read() as tx:
        row = await store.read(tx, booking)
    if row is None or not (views.side(row.booking, caller.id) or caller.manages):
        raise NotFound
    return row


routes = [book, list_bookings, get_booking, get_timeline]
