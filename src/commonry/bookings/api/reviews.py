"""Reviews: one a side, double blind (rule 19)."""

from datetime import datetime
from uuid import UUID

from litestar import Response, get, post

from commonry.bookings.api.bookings import visible
from commonry.bookings.rules import policies, views
from commonry.bookings.rules.transitions import REVIEWABLE
from commonry.bookings.store import reviews as store
from commonry.bookings.store.bookings import Running
from commonry.contracts.bookings import NewReview, Review
from commonry.contracts.problems import NotInThatState
from commonry.kit import clock
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.pages import Cursor, Limit, Page, decode, page
from commonry.kit.problems import NotAllowed
from commonry.kit.service import Once


@post(
    "/api/v1/bookings/{booking_id:uuid}/review",
    tags=["reviews"],
    summary="Review the other side",
    operation_id="review_booking",
    security=[{"bearer": []}],
)
async def review(booking_id: UUID, data: NewReview, caller: Caller, once: Once, db: Database) -> Response[Review]:
    row = await visible(db, booking_id, caller)
    side = views.side(row.booking, caller.id)
    if side is None:
        raise NotAllowed
    until = _open_until(row)
    return await once(lambda tx: store.add(tx, row.booking, caller.id, side, data, until))


def _open_until(row: Running) -> datetime:
    """When the reviews of a booking that is back become public; then none can be added, or it would not be blind."""
    if row.booking.state not in REVIEWABLE:
        raise NotInThatState(state=row.booking.state)
    completed = row.completed_at or clock.now()
    if not policies.reviews_open(completed, clock.now()):
        raise NotInThatState("The reviews of this booking are public; none can be added.", state=row.booking.state)
    return policies.reviews_published_at(completed, None)


@get(
    "/api/v1/bookings/{booking_id:uuid}/reviews",
    tags=["reviews"],
    summary="A booking's reviews",
    operation_id="list_booking_reviews",
    security=[{"bearer": []}],
)
async def of_booking(booking_id: UUID, caller: Caller, db: Database) -> Page[Review]:
    await visible(db, booking_id, caller)
    async with db.read() as tx:
        return Page(await store.of_booking(tx, booking_id, caller.id))


@get(
    "/api/v1/members/{member_id:uuid}/reviews",
    tags=["reviews"],
    summary="Reviews about a member",
    operation_id="list_reviews",
)
async def about(member_id: UUID, db: Database, limit: Limit = 20, cursor: Cursor = None) -> Page[Review]:
    after = decode("reviews", cursor, tuple[UUID])
    async with db.read() as tx:
        rows = await store.about(tx, member_id, limit, after[0] if after else None)
    return page(rows, limit, "reviews", lambda r: (r.id,))


routes = [review, of_booking, about]
