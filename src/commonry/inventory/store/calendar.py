"""A reservation's life: held, confirmed, in use, moved, released.

The exclusion constraint `one_borrower_at_a_time` alone decides who gets a unit; nothing here locks anything that two
holds would both want. Functions that need several transactions take the database, the others a transaction.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.errors import ExclusionViolation, ForeignKeyViolation

from commonry.contracts.inventory import Hold, Reservation
from commonry.contracts.problems import HoldExpired, ItemTaken, NotOffered, ReservationReleased
from commonry.contracts.words import Period
from commonry.inventory.store import room
from commonry.inventory.store.room import Shift
from commonry.kit.db import Database, Tx, one, run, value, values
from commonry.kit.problems import Conflict, NotFound

TRIES = 30
"""Each miss means that another hold took what looked free a moment ago, so a hold gets somewhere long before this."""


async def hold(db: Database, booking: UUID, wanted: Hold) -> Reservation:
    """Claim units until confirmed; the same again is the same answer.

    Raises `ItemTaken`, `NotOffered`, `NotFound`, and `ReservationReleased` when the release came first."""
    for _ in range(TRIES):
        held = await db.transact(lambda tx: _hold(tx, booking, wanted))
        if held is not None:
            return held
        if not await room.make(db, wanted.item_id, wanted.period, wanted.quantity):
            break
    raise ItemTaken


async def _hold(tx: Tx, booking: UUID, wanted: Hold) -> Reservation | None:
    """None if fewer units were to be had than wanted."""
    period = wanted.period
    params = {"id": booking, "from": period.from_, "to": period.to}
    params |= {"item": wanted.item_id, "quantity": wanted.quantity, "seconds": wanted.seconds}
    # One round trip, but two statements: the reservation's foreign key locks the item against changes of its terms, so
    # the second statement sees them as they will stay.
    try:
        async with tx.pipeline():
            reserved = await tx.execute(_RESERVE, params)
            claimed = await tx.execute(_CLAIM, params)
            new, claim = await reserved.fetchone(), await claimed.fetchone()
    except ForeignKeyViolation as e:
        raise NotFound("There is no such item.") from e
    if new is None or claim is None:
        return _same(await read(tx, booking), wanted)
    is_open, units = claim
    if not is_open:
        raise NotOffered
    if units < wanted.quantity:
        # Not by a rollback, which makes the driver forget its prepared statements: losers would cost thrice as much.
        await run(tx, _UNDO, {"id": booking})
        return None
    return Reservation(
        id=booking,
        state="held",
        item_id=wanted.item_id,
        period=period,
        quantity=wanted.quantity,
        expires_at=new[0],
    )


def _same(known: Reservation, wanted: Hold) -> Reservation:
    if known.state == "released":
        raise ReservationReleased
    if (known.item_id, known.quantity) != (wanted.item_id, wanted.quantity) or known.period != wanted.period:
        raise Conflict("This booking has reserved something else.", reservation=known.id)
    return known


async def confirm(db: Database, booking: UUID) -> Reservation:
    """held → confirmed; confirmed and in use stay. Raises `HoldExpired`, `ReservationReleased`, `NotFound`."""
    async with db.alone() as tx:
        decided = await one(tx, _reservation, _CONFIRM, {"id": booking}) or await read(tx, booking)
    # Only now, because a problem raised inside would undo the release of what has expired.
    if decided.state == "released":
        raise HoldExpired if decided.expires_at else ReservationReleased
    return decided


async def read(tx: Tx, booking: UUID) -> Reservation:
    """A reservation in any state. Raises `NotFound`."""
    found = await one(tx, _reservation, _READ, {"id": booking})
    if found is None:
        raise NotFound("There is no reservation of this booking.")
    return found


async def in_use(db: Database, booking: UUID, since: datetime) -> Reservation:
    """confirmed → in use. Picked up early, it is claimed from then on, if it can be: raises `ItemTaken`."""

    async def work(tx: Tx, making_room: bool) -> Reservation:
        known = await _live(tx, booking, making_room)
        if known.state == "held":
            raise Conflict("The reservation is not confirmed yet.")
        if known.state == "confirmed":
            place = await room.place(tx, booking)
            if since < place.starts:
                await _shift(tx, known, Shift(_period(known), since, place.ends), making_room)
            await run(tx, _IN_USE, {"id": booking, "since": since})
            await run(tx, _OUT, {"id": booking})
        return await read(tx, booking)

    return await _twice(db, work)


async def move(db: Database, booking: UUID, period: Period) -> Reservation:
    """Another period in one swap that excludes itself (rule 9); what is out stays on its unit.

    Raises `ItemTaken`, `NotOffered`, `ReservationReleased`; then nothing has changed."""

    async def work(tx: Tx, making_room: bool) -> Reservation:
        known = await _live(tx, booking, making_room)
        place = await room.place(tx, booking)
        await _not_in_the_way(tx, known, period, making_room)
        starts = min(place.starts, period.from_) if known.state == "in_use" else period.from_
        await _shift(tx, known, Shift(period, starts, period.to + place.buffer), making_room)
        await run(tx, _MOVE, {"id": booking, "from": period.from_, "to": period.to})
        return await read(tx, booking)

    return await _twice(db, work)


async def _twice(db: Database, work: Any) -> Reservation:
    """First as it stands; if a unit is taken, again after moving others out of the way, under a lock of the item."""
    try:
        return await db.transact(lambda tx: work(tx, False))
    except ItemTaken:
        return await db.transact(lambda tx: work(tx, True))


async def _live(tx: Tx, booking: UUID, making_room: bool) -> Reservation:
    """The reservation, locked, and its item too: shared, so that its terms stay, or exclusively to make room."""
    item = await value(tx, "SELECT item_id FROM reservations WHERE id = %(id)s", {"id": booking})
    await run(tx, _LOCK_ITEM if making_room else _KEEP_ITEM, {"item": item})
    await run(tx, "SELECT id FROM reservations WHERE id = %(id)s FOR UPDATE", {"id": booking})
    known = await read(tx, booking)
    if known.state == "released":
        raise ReservationReleased
    return known


async def _not_in_the_way(tx: Tx, known: Reservation, period: Period, making_room: bool) -> None:
    """Only time that is added is looked at: a blackout over what was booked before changes nothing (rule 11)."""
    found = await one(tx, _InTheWay, _IN_THE_WAY, {"id": known.id, "from": period.from_, "to": period.to})
    if found and found.closed:
        raise NotOffered
    if found and found.taken and not making_room:
        raise ItemTaken


class _InTheWay(NamedTuple):
    closed: bool
    taken: bool


async def _shift(tx: Tx, known: Reservation, to: Shift, making_room: bool) -> None:
    moves = await room.clear_the_way(tx, _item(known), known.id, to) if making_room else {}
    try:
        await room.shift(tx, known.id, to, moves)
        await room.settle(tx, moves)
    except ExclusionViolation as e:
        raise ItemTaken from e


def _item(known: Reservation) -> UUID:
    if known.item_id is None:
        raise ReservationReleased
    return known.item_id


def _period(known: Reservation) -> Period:
    if known.period is None:
        raise ReservationReleased
    return known.period


async def release(tx: Tx, booking: UUID) -> Reservation:
    """Any state → released at once, for good. Leaves a tombstone even if nothing was held; never refused.

    What was out keeps its unit for the rest of the buffer, counted from now (rule 7): the tail is free (rule 10)."""
    released = await one(tx, _reservation, _RELEASE, {"id": booking})
    if released is None:
        return await read(tx, booking)
    # Not in the same statement, which would not see the claims of a hold that it waited for.
    await run(tx, _FREE, {"id": booking})
    return released


async def at_risk(tx: Tx, booking: UUID) -> list[UUID]:
    """Reservations next on the units this one still has, that begin within 24 hours or have begun."""
    return await values(tx, _AT_RISK, {"id": booking})


def _reservation(*, from_: datetime | None, to: datetime | None, **row: Any) -> Reservation:
    return Reservation(period=Period(from_, to) if from_ and to else None, **row)


_RESERVE = """
    INSERT INTO reservations (id, item_id, period, quantity, state, expires_at)
    VALUES (%(id)s, %(item)s, tstzrange(%(from)s, %(to)s), %(quantity)s, 'held',
        app_now() + make_interval(secs => %(seconds)s))
    ON CONFLICT DO NOTHING
    RETURNING expires_at"""
_CLAIM = """
    WITH wanted AS (
        SELECT r.id, r.period, r.quantity, r.item_id, b.buffer,
            i.offered AND NOT EXISTS (
                SELECT FROM blackouts o
                WHERE o.item_id = i.id
                    AND o.period && tstzrange(lower(r.period), upper(r.period) + b.buffer)) AS is_open
        FROM reservations r JOIN items i ON i.id = r.item_id
        CROSS JOIN LATERAL (SELECT make_interval(mins => i.buffer_minutes) AS buffer) b
        WHERE r.id = %(id)s AND r.state = 'held' AND NOT EXISTS (SELECT FROM claims c WHERE c.reservation_id = r.id)),
    claimed AS (
        INSERT INTO claims (reservation_id, unit_id, period, occupied)
        SELECT w.id, chosen.unit_id, w.period, tstzrange(lower(w.period), upper(w.period) + w.buffer)
        FROM wanted w
        -- Any of them, so that holds at the same time seldom want the same; in order, so that they never deadlock.
        CROSS JOIN LATERAL (
            SELECT u.id AS unit_id
            FROM (SELECT id FROM units WHERE item_id = w.item_id AND retired_at IS NULL ORDER BY random()) u
            WHERE NOT EXISTS (SELECT FROM engagements(u.id, w.period, w.buffer)) LIMIT w.quantity) chosen
        WHERE w.is_open
        ORDER BY chosen.unit_id
        ON CONFLICT DO NOTHING
        RETURNING unit_id)
    SELECT w.is_open, (SELECT count(c.unit_id) FROM claimed c) AS units FROM wanted w"""
_UNDO = """
    WITH gone AS (DELETE FROM claims WHERE reservation_id = %(id)s) DELETE FROM reservations WHERE id = %(id)s"""
_READ = """
    SELECT id, state, item_id, lower(period) AS from_, upper(period) AS to, quantity, expires_at
    FROM reservations WHERE id = %(id)s"""
_CONFIRM = """
    WITH decided AS (
        UPDATE reservations SET
            state = CASE WHEN expires_at > app_now() THEN 'confirmed' ELSE 'released' END,
            released_at = CASE WHEN expires_at > app_now() THEN NULL ELSE app_now() END,
            expires_at = CASE WHEN expires_at > app_now() THEN NULL ELSE expires_at END
        WHERE id = %(id)s AND state = 'held'
        RETURNING id, state, item_id, period, quantity, expires_at),
    freed AS (
        UPDATE claims SET state = 'over' FROM decided d
        WHERE claims.reservation_id = d.id AND d.state = 'released')
    SELECT id, state, item_id, lower(period) AS from_, upper(period) AS to, quantity, expires_at FROM decided"""
_LOCK_ITEM = "SELECT id FROM items WHERE id = %(item)s FOR UPDATE"
_KEEP_ITEM = "SELECT id FROM items WHERE id = %(item)s FOR KEY SHARE"
_IN_USE = "UPDATE reservations SET state = 'in_use', in_use_since = %(since)s WHERE id = %(id)s"
_OUT = "UPDATE claims SET state = 'out' WHERE reservation_id = %(id)s AND state = 'reserved'"
_MOVE = "UPDATE reservations SET period = tstzrange(%(from)s, %(to)s) WHERE id = %(id)s"
_IN_THE_WAY = """
    WITH added AS (
        SELECT i.id AS item_id, make_interval(mins => i.buffer_minutes) AS buffer, unnest(
            tstzmultirange(tstzrange(%(from)s, %(to)s)) - tstzmultirange(r.period)) AS period
        FROM reservations r JOIN items i ON i.id = r.item_id WHERE r.id = %(id)s)
    SELECT
        EXISTS (SELECT FROM added a JOIN blackouts b ON b.item_id = a.item_id
            AND b.period && tstzrange(lower(a.period), upper(a.period) + a.buffer)) AS closed,
        EXISTS (SELECT FROM added a CROSS JOIN claims c CROSS JOIN LATERAL engagements(c.unit_id, a.period, a.buffer) e
            WHERE c.reservation_id = %(id)s AND c.live AND e.reservation_id <> %(id)s) AS taken"""
_RELEASE = """
    INSERT INTO reservations (id, state, released_at) VALUES (%(id)s, 'released', app_now())
    ON CONFLICT (id) DO UPDATE SET state = 'released', released_at = excluded.released_at, expires_at = NULL
    WHERE reservations.state <> 'released'
    RETURNING id, state, item_id, lower(period) AS from_, upper(period) AS to, quantity, expires_at"""
_FREE = """
    UPDATE claims SET
        state = CASE WHEN state = 'out' AND upper(occupied) > upper(period)
            AND lower(occupied) < app_now() + (upper(occupied) - upper(period)) THEN 'cooling' ELSE 'over' END,
        -- Its end is when the thing came back. Closed, so that it has an end even if that was at once.
        period = CASE WHEN state = 'out'
            THEN tstzrange(least(lower(period), app_now()), app_now(), '[]') ELSE period END,
        occupied = CASE WHEN state = 'out'
            THEN occupied * tstzrange(NULL, app_now() + (upper(occupied) - upper(period))) ELSE occupied END
    WHERE reservation_id = %(id)s AND live"""
_AT_RISK = """
    SELECT o.reservation_id FROM claims mine
    JOIN claims o ON o.unit_id = mine.unit_id AND o.live AND o.reservation_id <> mine.reservation_id
        AND o.occupied && tstzrange(lower(mine.occupied), app_now() + interval '24 hours')
    WHERE mine.reservation_id = %(id)s AND mine.live AND o.state = 'reserved'
    GROUP BY o.reservation_id ORDER BY min(lower(o.period)), o.reservation_id"""
