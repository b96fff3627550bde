"""Blackouts, and the item's calendar as a whole: what is taken, what is closed."""

from datetime import datetime
from uuid import UUID

from commonry.contracts.inventory import Blackout, NewBlackout
from commonry.inventory.rules.calendar import Span
from commonry.kit.db import Tx, many, run, values
from commonry.kit.problems import NotFound


async def insert(tx: Tx, blackout: UUID, item: UUID, new: NewBlackout) -> Blackout:
    """Close a locked item for a while. What is reserved then stays, and is listed (rule 11)."""
    params = {"id": blackout, "item": item, "from": new.from_, "to": new.to, "note": new.note}
    await run(tx, _INSERT, params)
    conflicts = await values(tx, _CONFLICTS, params)
    return Blackout(id=blackout, from_=new.from_, to=new.to, note=new.note, conflicts=conflicts)


async def of_item(tx: Tx, item: UUID, after: tuple[datetime, UUID] | None, limit: int) -> list[Blackout]:
    """An item's blackouts with their conflicts, by their start."""
    start, last = after or (None, None)
    return await many(tx, Blackout, _LIST, {"item": item, "start": start, "last": last, "limit": limit})


async def delete(tx: Tx, item: UUID, blackout: UUID) -> None:
    """Open the item again. Raises `NotFound`."""
    query = "DELETE FROM blackouts WHERE id = %(id)s AND item_id = %(item)s"
    if not await run(tx, query, {"id": blackout, "item": item}):
        raise NotFound


async def taken(tx: Tx, item: UUID, window: Span) -> list[tuple[UUID, Span]]:
    """What occupies which unit, buffers included, as far as it matters for loans inside the window."""

    def pair(unit_id: UUID, start: datetime, end: datetime) -> tuple[UUID, Span]:
        return unit_id, Span(start, end)

    return await many(tx, pair, _TAKEN, {"item": item, "from": window.start, "to": window.end})


async def closed(tx: Tx, item: UUID, window: Span) -> list[Span]:
    """Blackouts that matter for loans inside the window."""
    return await many(tx, Span, _CLOSED, {"item": item, "from": window.start, "to": window.end})


_INSERT = """
    INSERT INTO blackouts (id, item_id, period, note)
    VALUES (%(id)s, %(item)s, tstzrange(%(from)s, %(to)s), %(note)s)"""
_CONFLICTS = """
    SELECT id FROM reservations
    WHERE item_id = %(item)s AND state <> 'released' AND period && tstzrange(%(from)s, %(to)s)
    ORDER BY lower(period), id"""
_LIST = """
    SELECT b.id, lower(b.period) AS from_, upper(b.period) AS to, b.note, ARRAY(
        SELECT r.id FROM reservations r
        WHERE r.item_id = b.item_id AND r.state <> 'released' AND r.period && b.period
        ORDER BY lower(r.period), r.id) AS conflicts
    FROM blackouts b
    WHERE b.item_id = %(item)s
        AND (%(last)s::uuid IS NULL OR (lower(b.period), b.id) > (%(start)s::timestamptz, %(last)s))
    ORDER BY lower(b.period), b.id LIMIT %(limit)s"""
_TAKEN = """
    SELECT u.id AS unit_id, lower(e.span) AS start, upper(e.span) AS end
    FROM items i JOIN units u ON u.item_id = i.id AND u.retired_at IS NULL
    CROSS JOIN LATERAL engagements(
        u.id, tstzrange(%(from)s, %(to)s), make_interval(mins => i.buffer_minutes)) e
    WHERE i.id = %(item)s"""
_CLOSED = """
    SELECT lower(b.period) AS start, upper(b.period) AS end
    FROM items i JOIN blackouts b ON b.item_id = i.id
        AND b.period && tstzrange(%(from)s, %(to)s::timestamptz + make_interval(mins => i.buffer_minutes))
    WHERE i.id = %(item)s"""
