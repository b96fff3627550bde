"""Room on an item's units: what is free, who can move aside, and units that come and go.

A reservation gets whole units, so loans may leave gaps that no single unit has. Until pickup nobody cares which copy
they get: when what is wanted would fit after moving reservations between units, they are moved. That is rare, and
the only thing here that locks an item.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from commonry.contracts.problems import ItemHasBookings, ItemTaken
from commonry.contracts.words import Period
from commonry.inventory.rules.calendar import Load, pack
from commonry.inventory.store import items
from commonry.kit.db import Database, Tx, many, one, run, value, values

Moves = dict[int, UUID]
"""Which claims go to which units."""


class Place(NamedTuple):
    """Where a reservation's claims lie in time, and its item's present buffer."""

    starts: datetime
    ends: datetime
    buffer: timedelta


class Shift(NamedTuple):
    """Where claims are to go in time: what is booked, and what that occupies."""

    period: Period
    starts: datetime
    ends: datetime


class _Left(NamedTuple):
    room: int
    free: int
    overdue: bool


async def make(db: Database, item: UUID, period: Period, quantity: int) -> bool:
    """Whether it is worth trying again to claim this many units: some are free after all, or have been made so."""
    async with db.read() as tx:
        left = await one(tx, _Left, _LEFT, {"item": item, "from": period.from_, "to": period.to})
    if left is None or left.free >= quantity:
        return left is not None
    if left.room >= quantity and await db.transact(lambda tx: _moved_aside(tx, item, period, quantity)):
        return True
    return left.overdue and await db.transact(lambda tx: expire(tx, item)) > 0


async def _moved_aside(tx: Tx, item: UUID, period: Period, quantity: int) -> bool:
    await items.lock(tx, item)
    end = period.to + timedelta(minutes=await value(tx, _BUFFER, {"item": item}))
    wanted = [Load(None, None, period.from_, end, end)] * quantity
    placed = pack(await _units(tx, item), wanted + await _loads(tx, item))
    if placed is not None:
        await settle(tx, await _lift(tx, placed))
    return placed is not None


async def shift(tx: Tx, booking: UUID, to: Shift, lifted: Moves) -> None:
    """Put a reservation's claims elsewhere in time, on the units they are on. The constraint refuses what is taken."""
    params = {"id": booking, "from": to.period.from_, "to": to.period.to, "starts": to.starts, "ends": to.ends}
    await run(tx, _SHIFT, params | {"lifted": list(lifted)})


async def clear_the_way(tx: Tx, item: UUID, booking: UUID, to: Shift) -> Moves:
    """For a shift on a locked item: lift the claims that must change units. After the shift, `settle` them.

    Raises `ItemTaken`."""
    own = await many(tx, Load, _OWN, {"id": booking, "starts": to.starts, "ends": to.ends})
    others = await _loads(tx, item, but=booking)
    placed = pack(await _units(tx, item), own + others)
    if placed is None:
        raise ItemTaken
    return await _lift(tx, placed)


async def settle(tx: Tx, moves: Moves) -> None:
    """Put claims that were lifted down on their new units."""
    await run(tx, _SETTLE, {"claims": list(moves), "units": list(moves.values())})


async def place(tx: Tx, booking: UUID) -> Place:
    """Where a live reservation lies."""
    found = await one(tx, Place, _PLACE, {"id": booking})
    if found is None:
        raise ItemTaken
    return found


async def expire(tx: Tx, item: UUID | None = None) -> int:
    """Give up holds whose time has passed by the database's clock, of one item or of any; how many (at most 500)."""
    return await value(tx, _EXPIRE, {"item": item})


async def finish_cooling(tx: Tx) -> int:
    """Forget claims of returned things whose buffer has passed; how many."""
    return await run(tx, _FINISH_COOLING)


async def set_quantity(tx: Tx, item: UUID, quantity: int) -> None:
    """Add units to a locked item, or retire some, idle ones first. Raises `ItemHasBookings` if more are needed."""
    units = await _units(tx, item)
    if quantity > len(units):
        await run(tx, _ADD_UNITS, {"item": item, "count": quantity - len(units)})
    elif quantity < len(units):
        loads = await _loads(tx, item, cooling=False)
        needed = {load.unit: load.pinned for load in sorted(loads, key=lambda load: load.pinned)}
        kept = sorted(units, key=lambda unit: (not needed.get(unit, False), unit not in needed))[:quantity]
        if not needed.keys() <= set(kept):
            await _pack_onto(tx, item, kept, loads)
        await run(tx, _RETIRE, {"units": [unit for unit in units if unit not in kept]})


async def _pack_onto(tx: Tx, item: UUID, kept: list[UUID], loads: list[Load]) -> None:
    placed = pack(kept, loads)
    if placed is None:
        raise ItemHasBookings(bookings=await items.reserved(tx, item))
    await settle(tx, await _lift(tx, placed))


async def _lift(tx: Tx, placed: list[tuple[Load, UUID]]) -> Moves:
    """Make the claims that change units not live for a moment, which nobody sees before this transaction ends.

    All at once and not one after the other: two that swap units would meet."""
    moves = {load.claim: unit for load, unit in placed if load.claim and load.unit != unit}
    lifted = await values(tx, _LIFT, {"claims": list(moves)})
    return {claim: moves[claim] for claim in lifted}


async def _units(tx: Tx, item: UUID) -> list[UUID]:
    return await values(tx, _UNITS, {"item": item})


async def _loads(tx: Tx, item: UUID, *, but: UUID | None = None, cooling: bool = True) -> list[Load]:
    """Everything on the item's units from now on."""
    return await many(tx, Load, _LOADS, {"item": item, "but": but, "cooling": cooling})


_LEFT = """
    SELECT r.units AS room, (SELECT count(f.unit_id) FROM free_units(w.item, w.period, w.buffer) f) AS free,
        EXISTS (SELECT FROM reservations h
            WHERE h.item_id = w.item AND h.state = 'held' AND h.expires_at <= app_now()) AS overdue
    FROM (SELECT i.id AS item, tstzrange(%(from)s, %(to)s) AS period, make_interval(mins => i.buffer_minutes) AS buffer
        FROM items i WHERE i.id = %(item)s) w
    CROSS JOIN LATERAL room(w.item, w.period, w.buffer) r"""
_BUFFER = "SELECT buffer_minutes FROM items WHERE id = %(item)s"
_UNITS = """
    SELECT id FROM units WHERE item_id = %(item)s AND retired_at IS NULL ORDER BY length(label), label"""
_LOADS = """
    SELECT e.claim_id AS claim, u.id AS unit, lower(e.span) AS start, upper(e.span) AS end,
        upper(c.occupied) AS promised, e.state <> 'reserved' OR lower(e.span) <= app_now() AS pinned
    FROM items i JOIN units u ON u.item_id = i.id AND u.retired_at IS NULL
    CROSS JOIN LATERAL engagements(u.id, tstzrange(app_now(), NULL), make_interval(mins => i.buffer_minutes)) e
    JOIN claims c ON c.id = e.claim_id
    WHERE i.id = %(item)s AND e.reservation_id IS DISTINCT FROM %(but)s AND (%(cooling)s OR e.state <> 'cooling')"""
_OWN = """
    SELECT id AS claim, unit_id AS unit, %(starts)s::timestamptz AS start, %(ends)s::timestamptz AS end,
        %(ends)s::timestamptz AS promised, state = 'out' AS pinned
    FROM claims WHERE reservation_id = %(id)s AND live"""
_LIFT = "UPDATE claims SET state = 'over' WHERE id = ANY (%(claims)s) AND state = 'reserved' RETURNING id"
_SETTLE = """
    UPDATE claims SET unit_id = m.unit_id, state = 'reserved'
    FROM unnest(%(claims)s::bigint[], %(units)s::uuid[]) AS m (claim_id, unit_id) WHERE claims.id = m.claim_id"""
_SHIFT = """
    UPDATE claims SET period = tstzrange(%(from)s, %(to)s), occupied = tstzrange(%(starts)s, %(ends)s)
    WHERE reservation_id = %(id)s AND (live OR id = ANY (%(lifted)s))"""
_PLACE = """
    SELECT min(lower(c.occupied)) AS starts, max(upper(c.occupied)) AS ends,
        make_interval(mins => min(i.buffer_minutes)) AS buffer
    FROM claims c JOIN units u ON u.id = c.unit_id JOIN items i ON i.id = u.item_id
    WHERE c.reservation_id = %(id)s AND c.live HAVING count(c.id) > 0"""
_EXPIRE = """
    WITH overdue AS (
        SELECT id FROM reservations
        WHERE state = 'held' AND expires_at <= app_now() AND (%(item)s::uuid IS NULL OR item_id = %(item)s)
        ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED),
    given_up AS (
        UPDATE reservations SET state = 'released', released_at = app_now()
        FROM overdue WHERE reservations.id = overdue.id RETURNING reservations.id),
    freed AS (
        UPDATE claims SET state = 'over' FROM given_up WHERE claims.reservation_id = given_up.id)
    SELECT count(id) FROM given_up"""
_FINISH_COOLING = """
    UPDATE claims SET state = 'over'
    FROM units u JOIN items i ON i.id = u.item_id
    WHERE claims.state = 'cooling' AND upper(claims.occupied) <= app_now() AND u.id = claims.unit_id
        AND upper(claims.period) + make_interval(mins => i.buffer_minutes) <= app_now()"""
_ADD_UNITS = """
    INSERT INTO units (item_id, label)
    SELECT %(item)s, (known.count + number)::text
    FROM (SELECT count(id) FROM units WHERE item_id = %(item)s) known, generate_series(1, %(count)s) AS number"""
_RETIRE = "UPDATE units SET retired_at = app_now() WHERE id = ANY (%(units)s)"
