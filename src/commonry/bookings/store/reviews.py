"""Reviews: one a side, hidden until both are in or their time has come, then immutable and public."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from commonry.contracts.bookings import Booking, NewReview, Review, Side
from commonry.contracts.events import RECEIVERS, ReviewPublished
from commonry.contracts.problems import AlreadyReviewed
from commonry.kit.db import Tx, many, one, run
from commonry.kit.ids import new_id
from commonry.kit.outbox import announce


async def add(tx: Tx, booking: Booking, author: UUID, side: Side, review: NewReview, publish_at: datetime) -> Review:
    """Keep a side's review; if the other side's is in, both become public. Raises AlreadyReviewed."""
    row = {
        "id": new_id(),
        "booking": booking.id,
        "side": side,
        "item": booking.item_id,
        "author": author,
        "subject": booking.owner_id if side == "borrower" else booking.borrower_id,
        "rating": review.rating,
        "text": review.text,
        "publish_at": publish_at,
    }
    await run(tx, _ONE_AT_A_TIME, {"booking": booking.id})
    made = await one(tx, Review, _ADD, row)
    if made is None:
        raise AlreadyReviewed
    await _announced(tx, await many(tx, Review, _PUBLISH_BOTH, {"booking": booking.id}))
    return await one(tx, Review, _READ, {"id": made.id}) or made


async def publish_due(tx: Tx) -> int:
    """Make reviews public whose time has come; how many."""
    return await _announced(tx, await many(tx, Review, _PUBLISH_DUE))


async def about(tx: Tx, member: UUID, limit: int, after: UUID | None) -> list[Review]:
    """Published reviews about a member, newest first, one more than `limit`."""
    return await many(tx, Review, _ABOUT, {"member": member, "limit": limit + 1, "after": after})


async def of_booking(tx: Tx, booking: UUID, viewer: UUID) -> list[Review]:
    """A booking's reviews that a viewer may see: the published ones and their own."""
    return await many(tx, Review, _OF_BOOKING, {"booking": booking, "viewer": viewer})


async def _announced(tx: Tx, published: list[Review]) -> int:
    for review in published:
        if review.side == "borrower":
            event = ReviewPublished(item_id=review.item_id, rating=review.rating)
            await announce(tx, "ReviewPublished", event, RECEIVERS[ReviewPublished])
    return len(published)


_COLUMNS: LiteralString = """
    id, booking_id, item_id, author_id, subject_id, side, rating, text, published, created_at"""
_ONE_AT_A_TIME: LiteralString = "SELECT FROM bookings WHERE id = %(booking)s FOR UPDATE"
_ADD: LiteralString = (
    """
    INSERT INTO reviews (id, booking_id, side, item_id, author_id, subject_id, rating, text, publish_at)
    VALUES (%(id)s, %(booking)s, %(side)s, %(item)s, %(author)s, %(subject)s, %(rating)s, %(text)s,
        %(publish_at)s)
    ON CONFLICT DO NOTHING RETURNING"""
    + _COLUMNS
)
_READ: LiteralString = "SELECT" + _COLUMNS + " FROM reviews WHERE id = %(id)s"
_PUBLISH_BOTH: LiteralString = (
    """
    UPDATE reviews SET published = true
    WHERE booking_id = %(booking)s AND NOT published
        AND (SELECT count(id) FROM reviews WHERE booking_id = %(booking)s) = 2
    RETURNING"""
    + _COLUMNS
)
_PUBLISH_DUE: LiteralString = (
    """
    UPDATE reviews SET published = true
    WHERE id IN (
        SELECT id FROM reviews WHERE NOT published AND publish_at <= app_now()
        ORDER BY publish_at LIMIT 200 FOR UPDATE SKIP LOCKED)
    RETURNING"""
    + _COLUMNS
)
_ABOUT: LiteralString = (
    "SELECT"
    + _COLUMNS
    + """
    FROM reviews WHERE subject_id = %(member)s AND published AND (%(after)s::uuid IS NULL OR id < %(after)s)
    ORDER BY id DESC LIMIT %(limit)s"""
)
_OF_BOOKING: LiteralString = (
    "SELECT" + _COLUMNS + " FROM reviews WHERE booking_id = %(booking)s AND (published OR author_id = %(viewer)s)"
)
