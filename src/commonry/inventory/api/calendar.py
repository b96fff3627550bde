"""Routes of an item's calendar: when it is free, when its owner closes it, and the feed for other programs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.params import Parameter
from msgspec.structs import replace

from commonry.contracts.inventory import Availability, Blackout, NewBlackout
from commonry.contracts.problems import Mistake
from commonry.contracts.words import Instant
from commonry.inventory.api import telling
from commonry.inventory.api.items import SIGNED_IN
from commonry.inventory.api.telling import Gateways
from commonry.inventory.api.viewing import theirs, theirs_locked, visible
from commonry.inventory.rules import ics
from commonry.inventory.rules.calendar import (
    LONGEST_VIEW,
    USUAL_VIEW,
    Span,
    free_and_busy,
    mistakes_in_instant,
    mistakes_in_period,
)
from commonry.inventory.store import blackouts
from commonry.inventory.store.items import Kept
from commonry.kit import clock
from commonry.kit.auth import Caller
from commonry.kit.db import Database, Tx
from commonry.kit.ids import new_id
from commonry.kit.pages import Cursor, Limit, Page, decode, page
from commonry.kit.problems import NotValid
from commonry.kit.service import Once

From = Annotated[Instant | None, Parameter(query="from", description="Default: now.")]
To = Annotated[Instant | None, Parameter(description="Default: 60 days after `from`; at most 400 days.")]


@get(
    "/api/v1/items/{item_id:uuid}/availability",
    summary="When an item is free",
    operation_id="availability",
    tags=["calendar"],
)
async def availability(
    item_id: UUID, visitor: Caller | None, db: Database, from_: From = None, to: To = None
) -> Response[Availability]:
    if (from_ is None) != (to is None):
        raise NotValid(Mistake("query.to" if to is None else "query.from", "`from` and `to` belong together"))
    window = _window(from_, to)
    async with db.read() as tx:
        found = await calendar_of(tx, await visible(tx, item_id, visitor), window)
    return Response(found, headers=telling.of_calendar(item_id))


@get(
    "/api/v1/items/{item_id:uuid}/calendar.ics",
    summary="When an item is busy, for calendar programs",
    operation_id="calendar_feed",
    tags=["calendar"],
    media_type="text/calendar",
)
async def calendar_feed(item_id: UUID, visitor: Caller | None, db: Database) -> Response[str]:
    now = clock.now()
    async with db.read() as tx:
        kept = await visible(tx, item_id, visitor)
        busy = (await calendar_of(tx, kept, _window(now - timedelta(days=30), now + timedelta(days=365)))).busy
    feed = ics.calendar(item_id, kept.item.title, busy, now)
    return Response(feed, media_type="text/calendar; charset=utf-8", headers=telling.of_calendar(item_id))


@post(
    "/api/v1/items/{item_id:uuid}/blackouts",
    summary="Close an item for a while",
    operation_id="close_item",
    tags=["calendar"],
    security=SIGNED_IN,
)
async def close_item(
    item_id: UUID, data: NewBlackout, caller: Caller, once: Once, gateways: Gateways
) -> Response[Blackout]:
    async def work(tx: Tx) -> Blackout:
        await theirs_locked(tx, item_id, caller)
        _refuse(mistakes_in_period(data.from_, data.to))
        said = replace(data, from_=data.from_.astimezone(UTC), to=data.to.astimezone(UTC))
        return await blackouts.insert(tx, new_id(), item_id, said)

    answer = await once(work)
    await gateways.closed_or_opened(item_id)
    return answer


@get(
    "/api/v1/items/{item_id:uuid}/blackouts",
    summary="When an item is closed",
    operation_id="blackouts",
    tags=["calendar"],
    security=SIGNED_IN,
)
async def list_blackouts(
    item_id: UUID, caller: Caller, db: Database, limit: Limit = 20, cursor: Cursor = None
) -> Page[Blackout]:
    after = decode("blackouts", cursor, tuple[datetime, UUID])
    async with db.read() as tx:
        await theirs(tx, item_id, caller)
        found = await blackouts.of_item(tx, item_id, after, limit + 1)
    return page(found, limit, "blackouts", lambda b: (b.from_, b.id))


@delete(
    "/api/v1/items/{item_id:uuid}/blackouts/{blackout_id:uuid}",
    summary="Open an item again",
    operation_id="open_item",
    tags=["calendar"],
    security=SIGNED_IN,
)
async def open_item(item_id: UUID, blackout_id: UUID, caller: Caller, db: Database, gateways: Gateways) -> None:
    async def work(tx: Tx) -> None:
        await theirs_locked(tx, item_id, caller)
        await blackouts.delete(tx, item_id, blackout_id)

    await db.transact(work)
    await gateways.closed_or_opened(item_id)


def _window(from_: datetime | None, to: datetime | None) -> Span:
    start = from_ or clock.now()
    _refuse([*mistakes_in_instant(start, "query.from"), *(mistakes_in_instant(to, "query.to") if to else [])])
    end = to or start + USUAL_VIEW
    _refuse(mistakes_in_period(start, end, "query."))
    if end - start > LONGEST_VIEW:
        raise NotValid(Mistake("query.to", f"must be at most {LONGEST_VIEW.days} days after `from`"))
    return Span(start.astimezone(UTC), end.astimezone(UTC))


def _refuse(mistakes: list[Mistake]) -> None:
    if mistakes:
        raise NotValid(*mistakes)


async def calendar_of(tx: Tx, kept: Kept, window: Span) -> Availability:
    """What can be booked of an item, and what cannot."""
    item, units = kept.item, dict[UUID, list[Span]]()
    for unit, span in await blackouts.taken(tx, item.id, window):
        units.setdefault(unit, []).append(span)
    closed = await blackouts.closed(tx, item.id, window)
    buffer = timedelta(minutes=item.buffer_minutes)
    free, busy = free_and_busy(item.quantity, list(units.values()), closed, window, buffer)
    return Availability(time_zone=item.time_zone, free=free, busy=busy)


routes = [availability, calendar_feed, close_item, list_blackouts, open_item]
