"""Items and categories: read, written, and locked against the calendar.

Whoever changes what a hold depends on (terms, units, blackouts, whether it is offered) locks the item first. A hold
takes the weakest lock there is on it: holds never wait for each other, only for such a change, and a change for them.
"""

from typing import Any, NamedTuple
from uuid import UUID

from psycopg.errors import ForeignKeyViolation

from commonry.contracts.inventory import Category, Item, Location, NewItem, Price, Rating, Terms
from commonry.contracts.money import Money
from commonry.contracts.photos import Photo
from commonry.contracts.problems import ItemHasBookings, Mistake, NotValid
from commonry.inventory.store import photos
from commonry.kit.db import Tx, many, one, run, values
from commonry.kit.pictures import EDGES
from commonry.kit.problems import NotFound


class Kept(NamedTuple):
    """An item as strangers see it, and what they do not: the exact place, and whether it is offered at all."""

    item: Item
    exact: Location
    offered: bool


async def categories(tx: Tx) -> list[Category]:
    """All categories, each after its parent."""
    return await many(tx, Category, "SELECT slug, name, parent FROM categories ORDER BY position, slug")


async def family(tx: Tx, category: str) -> list[str]:
    """A category and those right below it; empty if there is no such category."""
    query = "SELECT slug FROM categories WHERE slug = %(category)s OR parent = %(category)s"
    return await values(tx, query, {"category": category})


async def slugs(tx: Tx) -> set[str]:
    """The slugs of all categories."""
    return set(await values(tx, "SELECT slug FROM categories"))


async def read(tx: Tx, item: UUID) -> Kept:
    """An item that was not deleted. Raises `NotFound`."""
    found = await read_all(tx, [item])
    if not found:
        raise NotFound
    return found[0]


async def read_all(tx: Tx, items: list[UUID]) -> list[Kept]:
    """These items, in this order, without those that were deleted."""
    return await many(tx, _kept, _READ, {"items": items})


async def read_locked(tx: Tx, item: UUID) -> Kept:
    """An item nobody else changes or holds until this transaction ends. Raises `NotFound`."""
    await lock(tx, item)
    return await read(tx, item)


async def lock(tx: Tx, item: UUID) -> None:
    """Wait for holds and changes under way, and keep others waiting."""
    await run(tx, "SELECT id FROM items WHERE id = %(item)s FOR UPDATE", {"item": item})


async def terms(tx: Tx, item: UUID) -> Terms:
    """What bookings must know, also of an item that is no longer offered. Raises `NotFound`."""
    found = await one(tx, _terms, _TERMS, {"item": item})
    if found is None:
        raise NotFound
    return found


async def insert(tx: Tx, item: UUID, owner: UUID, new: NewItem, *, source_ref: str | None = None) -> None:
    """A new item, without its units yet."""
    row = _columns(new) | {"id": item, "owner_id": owner, "source_ref": source_ref}
    try:
        await run(tx, _INSERT, row)
    except ForeignKeyViolation as e:
        raise NotValid(Mistake("category", "is no category of ours")) from e


async def update(tx: Tx, item: UUID, new: NewItem) -> None:
    """Everything an owner may say of an item, but for its units. The version goes up by one."""
    await run(tx, _UPDATE, _columns(new) | {"id": item})


async def delete(tx: Tx, item: UUID) -> None:
    """Take a locked item away for good. Raises `ItemHasBookings`."""
    live = await reserved(tx, item)
    if live:
        raise ItemHasBookings(bookings=live)
    await run(tx, "UPDATE items SET deleted_at = app_now(), version = version + 1 WHERE id = %(item)s", {"item": item})
    await photos.remove_others(tx, item)


async def touch(tx: Tx, item: UUID) -> None:
    """Something of a locked item was changed that is not in its row: it is another version."""
    await run(tx, "UPDATE items SET version = version + 1, updated_at = app_now() WHERE id = %(item)s", {"item": item})


async def reserved(tx: Tx, item: UUID) -> list[UUID]:
    """The item's live reservations, by their start."""
    query = "SELECT id FROM reservations WHERE item_id = %(item)s AND state <> 'released' ORDER BY lower(period), id"
    return await values(tx, query, {"item": item})


def _columns(new: NewItem) -> dict[str, Any]:
    """An item's columns from what its owner says: nested things flat, the rest as it is."""
    place, price, deposit = new.location, new.price, new.deposit
    plain = {name: getattr(new, name) for name in new.__struct_fields__}
    return plain | {
        "lat": place.lat,
        "lon": place.lon,
        "place_label": place.label,
        "address": place.address,
        "price_amount": price and price.amount,
        "price_currency": price and price.currency,
        "price_per": price and price.per,
        "deposit_amount": deposit and deposit.amount,
        "deposit_currency": deposit and deposit.currency,
    }


def _kept(
    *,
    rating_sum: int,
    rating_count: int,
    public_lat: float,
    public_lon: float,
    offered: bool,
    photos: list[dict[str, Any]] | None,
    **row: Any,
) -> Kept:
    exact, row = _nested(row)
    average = round(rating_sum / rating_count, 1) if rating_count else None
    public = Location(public_lat, public_lon, exact.label)
    shown = [_photo(row["id"], **photo) for photo in photos or ()]
    item = Item(location=public, rating=Rating(average, rating_count), photos=shown, **row)
    return Kept(item, exact, offered)


def _photo(item: UUID, *, id: str, **row: Any) -> Photo:
    small, medium, large = (photo_address(item, id, edge) for edge in EDGES)
    return Photo(id=UUID(id), small=small, medium=medium, large=large, **row)


def photo_address(item: UUID, photo: UUID | str, edge: int) -> str:
    """Where one size of a photo is."""
    return f"/api/v1/items/{item}/photos/{photo}/{edge}"


def _terms(**row: Any) -> Terms:
    location, row = _nested(row)
    return Terms(location=location, **row)


def _nested(row: dict[str, Any]) -> tuple[Location, dict[str, Any]]:
    """The exact place, and the rest of the row with price and deposit made whole."""
    place = Location(row.pop("lat"), row.pop("lon"), row.pop("place_label"), row.pop("address"))
    price = tuple(row.pop(name) for name in ("price_amount", "price_currency", "price_per"))
    deposit = tuple(row.pop(name) for name in ("deposit_amount", "deposit_currency"))
    row["price"] = None if price[0] is None else Price(*price)
    row["deposit"] = None if deposit[0] is None else Money(*deposit)
    return place, row


_READ = """
    SELECT i.id, i.owner_id, i.title, i.description, i.category, i.condition, i.lat, i.lon, i.place_label, i.address,
        i.place[1] AS public_lat, i.place[0] AS public_lon, i.time_zone, i.price_amount, i.price_currency, i.price_per,
        i.deposit_amount, i.deposit_currency, i.buffer_minutes, i.min_hours, i.max_hours, i.notice_hours,
        i.horizon_days, i.booking_mode, i.handover, i.cancellation, i.status, i.version, i.created_at, i.updated_at,
        i.rating_sum, i.rating_count, i.offered,
        (SELECT count(u.id) FROM units u WHERE u.item_id = i.id AND u.retired_at IS NULL) AS quantity,
        (SELECT jsonb_agg(jsonb_build_object('id', p.id, 'alt', p.alt, 'width', p.width, 'height', p.height)
            ORDER BY p.position) FROM photos p WHERE p.item_id = i.id AND p.gone_at IS NULL) AS photos
    FROM unnest(%(items)s::uuid[]) WITH ORDINALITY AS wanted (id, position) JOIN items i ON i.id = wanted.id
    WHERE i.deleted_at IS NULL
    ORDER BY wanted.position"""
_TERMS = """
    SELECT i.id AS item_id, i.owner_id, i.title, i.lat, i.lon, i.place_label, i.address, i.time_zone,
        i.price_amount, i.price_currency, i.price_per, i.deposit_amount, i.deposit_currency,
        i.buffer_minutes, i.min_hours, i.max_hours, i.notice_hours, i.horizon_days,
        i.booking_mode, i.handover, i.cancellation, i.offered,
        (SELECT count(u.id) FROM units u WHERE u.item_id = i.id AND u.retired_at IS NULL) AS units
    FROM items i WHERE i.id = %(item)s"""
_INSERT = """
    INSERT INTO items (id, owner_id, source_ref, title, description, category, condition, lat, lon, place_label,
        address, time_zone, price_amount, price_currency, price_per, deposit_amount, deposit_currency,
        buffer_minutes, min_hours, max_hours, notice_hours, horizon_days, booking_mode, handover, cancellation, status)
    VALUES (%(id)s, %(owner_id)s, %(source_ref)s, %(title)s, %(description)s, %(category)s, %(condition)s, %(lat)s,
        %(lon)s, %(place_label)s, %(address)s, %(time_zone)s, %(price_amount)s, %(price_currency)s, %(price_per)s,
        %(deposit_amount)s, %(deposit_currency)s, %(buffer_minutes)s, %(min_hours)s, %(max_hours)s, %(notice_hours)s,
        %(horizon_days)s, %(booking_mode)s, %(handover)s, %(cancellation)s, %(status)s)"""
_UPDATE = """
    UPDATE items SET title = %(title)s, description = %(description)s, category = %(category)s,
        condition = %(condition)s, lat = %(lat)s, lon = %(lon)s, place_label = %(place_label)s, address = %(address)s,
        time_zone = %(time_zone)s, price_amount = %(price_amount)s, price_currency = %(price_currency)s,
        price_per = %(price_per)s, deposit_amount = %(deposit_amount)s, deposit_currency = %(deposit_currency)s,
        buffer_minutes = %(buffer_minutes)s, min_hours = %(min_hours)s, max_hours = %(max_hours)s,
        notice_hours = %(notice_hours)s, horizon_days = %(horizon_days)s, booking_mode = %(booking_mode)s,
        handover = %(handover)s, cancellation = %(cancellation)s, status = %(status)s,
        version = version + 1, updated_at = app_now()
    WHERE id = %(id)s"""
