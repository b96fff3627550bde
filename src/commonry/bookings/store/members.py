"""What bookings say of a member."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from commonry.bookings.rules.transitions import NEWS
from commonry.contracts.bookings import Answers, News, Waiting
from commonry.kit.db import Tx, many, one

LATEST = 200
"""Bookings that are looked at: somebody who was slow years ago is judged by what they do now."""
ENOUGH = 3
"""Answers of which something usual can be said."""


async def answers(tx: Tx, member: UUID) -> Answers:
    """How soon this owner answers."""
    found = await one(tx, Answers, _ANSWERS, {"member": member, "latest": LATEST, "enough": ENOUGH})
    return found or Answers(answered=0, usual_minutes=None)


async def waiting(tx: Tx, member: UUID) -> Waiting:
    """Requests that this owner has not answered, and messages that this member has not read."""
    found = await one(tx, Waiting, _WAITING, {"member": member})
    return found or Waiting(requests=0, messages=0)


async def news(tx: Tx, member: UUID, limit: int, before: tuple[datetime, int] | None) -> list[News]:
    """What others and the platform did to this member's bookings, newest first, one more than `limit`."""
    at, id_ = before or (None, None)
    asked = {"member": member, "events": list(NEWS), "limit": limit + 1, "at": at, "id": id_}
    return await many(tx, News, _NEWS, asked)


_ANSWERS: LiteralString = """
    SELECT count(t.answered) AS answered,
        CASE WHEN count(t.answered) >= %(enough)s THEN ceil(
            percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.answered - t.asked)) / 60)::integer
        END AS usual_minutes
    FROM (SELECT id FROM bookings WHERE owner_id = %(member)s ORDER BY id DESC LIMIT %(latest)s) AS b
    CROSS JOIN LATERAL (
        SELECT min(at) FILTER (WHERE state = 'requested') AS asked,
            min(at) FILTER (WHERE state IN ('confirmed', 'declined', 'expired', 'failed')) AS answered
        FROM timeline WHERE booking_id = b.id) AS t
    WHERE t.asked IS NOT NULL"""
_WAITING: LiteralString = """
    SELECT
        (SELECT count(id) FROM bookings WHERE owner_id = %(member)s AND state = 'requested') AS requests,
        (SELECT count(m.id) FROM bookings b
            JOIN messages m ON m.booking_id = b.id AND m.author_id <> %(member)s
            LEFT JOIN messages_read r ON r.booking_id = b.id AND r.member_id = %(member)s
            WHERE (b.borrower_id = %(member)s OR b.owner_id = %(member)s)
                AND (r.up_to IS NULL OR m.id > r.up_to)) AS messages"""
# What a command begins and the platform ends is told once, where it ends; so is what both say in one word.
_NEWS: LiteralString = """
    SELECT t.id, t.at,
        CASE WHEN t.event IN ('reserved', 'authorised') THEN 'requested' ELSE t.event END AS event, t.text,
        b.id AS booking_id, b.terms ->> 'title' AS item_title,
        CASE WHEN b.owner_id = %(member)s THEN 'owner' ELSE 'borrower' END AS side,
        CASE WHEN b.owner_id = %(member)s THEN b.borrower_id ELSE b.owner_id END AS other_id
    FROM bookings b JOIN timeline t ON t.booking_id = b.id
    WHERE (b.borrower_id = %(member)s OR b.owner_id = %(member)s) AND t.by_id IS DISTINCT FROM %(member)s
        AND (t.event = ANY (%(events)s) AND (t.event <> 'expired' OR t.state = 'expired')
                AND (t.event <> 'failed' OR b.borrower_id = %(member)s)
            OR t.event IN ('reserved', 'authorised') AND t.state = 'requested' AND b.owner_id = %(member)s)
        AND (%(at)s::timestamptz IS NULL OR (t.at, t.id) < (%(at)s, %(id)s))
    ORDER BY t.at DESC, t.id DESC LIMIT %(limit)s"""
