"""Lists of bookings and a booking's timeline."""

from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from commonry.bookings.store.bookings import COLUMNS, Running, running
from commonry.contracts.bookings import TimelineEntry
from commonry.kit.db import Tx, many


class Wanted(NamedTuple):
    """Whose bookings (everyone's when `member` is None) and which; None asks for nothing."""

    member: UUID | None
    role: str | None = None
    status: str | None = None
    overdue: bool | None = None
    disputed: bool | None = None
    at_risk: bool | None = None


async def of_member(tx: Tx, wanted: Wanted, limit: int, after: UUID | None) -> list[Running]:
    """Bookings, newest first, one more than `limit` to see whether more follow."""
    return await many(tx, running, _LIST, wanted._asdict() | {"limit": limit + 1, "after": after})


async def timeline(tx: Tx, booking: UUID) -> list[TimelineEntry]:
    """What happened, oldest first."""

    def entry(by_id: UUID | None, **row: Any) -> TimelineEntry:
        return TimelineEntry(by=by_id, **row)

    return await many(tx, entry, _TIMELINE, {"id": booking})


_LIST: LiteralString = (
    "SELECT "
    + COLUMNS
    + """
    FROM bookings
    WHERE (%(member)s::uuid IS NULL
            OR (borrower_id = %(member)s AND %(role)s::text IS DISTINCT FROM 'owner')
            OR (owner_id = %(member)s AND %(role)s::text IS DISTINCT FROM 'borrower'))
        AND (%(status)s::text IS NULL OR state = %(status)s)
        AND (%(overdue)s::boolean IS NULL OR overdue = %(overdue)s)
        AND (%(disputed)s::boolean IS NULL OR disputed = %(disputed)s)
        AND (%(at_risk)s::boolean IS NULL OR at_risk = %(at_risk)s)
        AND (%(after)s::uuid IS NULL OR id < %(after)s)
    ORDER BY id DESC LIMIT %(limit)s"""
)
_TIMELINE: LiteralString = """
    SELECT at, event, text, by_id, state FROM timeline WHERE booking_id = %(id)s ORDER BY id LIMIT 500"""
