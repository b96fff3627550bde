"""Messages of a booking's two parties. Their ids are in the order in which they were written."""

from typing import Any, LiteralString
from uuid import UUID

from commonry.contracts.bookings import BookingMessage, Conversation
from commonry.kit.db import Tx, many, one, run
from commonry.kit.ids import new_id


async def add(tx: Tx, booking: UUID, author: UUID, text: str) -> BookingMessage:
    """A new one; its author has read it."""
    row = {"id": new_id(), "booking": booking, "author": author, "text": text}
    made = await one(tx, BookingMessage, _ADD, row)
    assert made  # noqa: S101 why: an INSERT without a condition returns its row
    await read_up_to(tx, booking, author, made.id)
    return made


async def of_booking(tx: Tx, booking: UUID, limit: int, before: UUID | None) -> list[BookingMessage]:
    """A booking's messages, newest first, one more than `limit`."""
    return await many(tx, BookingMessage, _OF_BOOKING, {"booking": booking, "limit": limit + 1, "before": before})


async def conversations(tx: Tx, member: UUID, limit: int, before: UUID | None) -> list[Conversation]:
    """A member's bookings with messages, by their newest, one more than `limit`."""
    asked = {"member": member, "limit": limit + 1, "before": before}
    return await many(tx, _conversation, _CONVERSATIONS, asked)


async def read_up_to(tx: Tx, booking: UUID, member: UUID, newest: UUID) -> None:
    """A member has read all up to this one."""
    await run(tx, _READ, {"booking": booking, "member": member, "newest": newest})


async def of_author(tx: Tx, member: UUID) -> list[BookingMessage]:
    """All that a member has written."""
    return await many(tx, BookingMessage, _OF_AUTHOR, {"member": member})


async def forget_author(tx: Tx, member: UUID) -> None:
    """An erased member's words go; that they wrote stays."""
    await run(tx, "UPDATE messages SET text = '' WHERE author_id = %(member)s AND text <> ''", {"member": member})


def _conversation(*, id: UUID, author_id: UUID, text: str, at: Any, **row: Any) -> Conversation:
    newest = BookingMessage(id=id, booking_id=row["booking_id"], author_id=author_id, text=text, at=at)
    return Conversation(newest=newest, **row)


_ADD: LiteralString = """
    INSERT INTO messages (id, booking_id, author_id, text) VALUES (%(id)s, %(booking)s, %(author)s, %(text)s)
    RETURNING id, booking_id, author_id, text, at"""
_OF_BOOKING: LiteralString = """
    SELECT id, booking_id, author_id, text, at FROM messages
    WHERE booking_id = %(booking)s AND (%(before)s::uuid IS NULL OR id < %(before)s)
    ORDER BY id DESC LIMIT %(limit)s"""
_OF_AUTHOR: LiteralString = """
    SELECT id, booking_id, author_id, text, at FROM messages WHERE author_id = %(member)s ORDER BY id"""
_CONVERSATIONS: LiteralString = """
    SELECT b.id AS booking_id, b.terms ->> 'title' AS item_title, b.state,
        CASE WHEN b.borrower_id = %(member)s THEN b.owner_id ELSE b.borrower_id END AS other_id,
        m.id, m.author_id, m.text, m.at,
        (SELECT count(x.id) FROM messages x WHERE x.booking_id = b.id AND x.author_id <> %(member)s
            AND (r.up_to IS NULL OR x.id > r.up_to)) AS unread
    FROM bookings b
    CROSS JOIN LATERAL (
        SELECT id, author_id, text, at FROM messages WHERE booking_id = b.id ORDER BY id DESC LIMIT 1) AS m
    LEFT JOIN messages_read r ON r.booking_id = b.id AND r.member_id = %(member)s
    WHERE (b.borrower_id = %(member)s OR b.owner_id = %(member)s) AND (%(before)s::uuid IS NULL OR m.id < %(before)s)
    ORDER BY m.id DESC LIMIT %(limit)s"""
_READ: LiteralString = """
    INSERT INTO messages_read (booking_id, member_id, up_to) VALUES (%(booking)s, %(member)s, %(newest)s)
    ON CONFLICT (booking_id, member_id) DO UPDATE SET up_to = excluded.up_to
    WHERE messages_read.up_to < excluded.up_to"""
