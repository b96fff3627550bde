"""Finding items by words, place, dates, price: one statement, made of the parts that were asked for.

The inner query finds candidates; the outer one asks the calendar, in the order of the list and no longer than until
the page is full, because asking is what costs.
"""

from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import kwargs_row
from psycopg.sql import SQL, Composed

from commonry.contracts.inventory import Sort
from commonry.inventory.rules.places import Place, boxes
from commonry.inventory.rules.search import USUAL_RADIUS, Search
from commonry.kit.db import Tx


class Hit(NamedTuple):
    """A found item: what it is sorted by, and how far it is, if that was asked."""

    id: UUID
    key: Any
    km: float | None


class After(NamedTuple):
    """Where a page begins: after this sort value and id; `similar` when the words were found only by likeness."""

    key: Any
    id: UUID
    similar: bool


async def find(
    tx: Tx, search: Search, family: list[str], *, private: bool, similar: bool, after: After | None, limit: int
) -> list[Hit]:
    """Ids in the order asked for. `family` is the category with those below it, `private` includes what is not offered,
    `similar` forgives typing mistakes."""
    parts = [name for name in _CONDITIONS if getattr(search, name, None) is not None and name != "owner"]
    if search.owner:
        parts.append("own" if private else "owner")
    if similar:
        parts[parts.index("q")] = "similar"
    query = _statement(search.order, tuple(parts), dated=search.from_ is not None, later=after is not None)
    params = _params(search) | {"family": family, "limit": limit} | (after._asdict() if after else {})
    async with tx.cursor(row_factory=kwargs_row(Hit)) as cursor:
        # Not prepared: a plan made for any place and any word is a bad one for this place and this word.
        await cursor.execute(query, params, prepare=False)
        return await cursor.fetchall()


def _params(search: Search) -> dict[str, Any]:
    params: dict[str, Any] = {name: getattr(search, name) for name in ("q", "to", "max_price", "owner")}
    params["from"] = search.from_
    if search.from_ and search.to:
        # Where clocks change, a limit of hours may be kept by the clock on the wall: here an hour more or less passes.
        hours = (search.to - search.from_).total_seconds() / 3600
        params |= {"at_least": hours + 1, "at_most": hours - 1}
    return params | (_near(search.middle, search.radius_km or USUAL_RADIUS) if search.middle else {})


def _near(middle: Place, radius_km: float) -> dict[str, Any]:
    found = boxes(middle, radius_km)
    corners = {f"{name}_{n}": value for n in (0, 1) for name, value in found[min(n, len(found) - 1)]._asdict().items()}
    return corners | {"lat": middle.lat, "lon": middle.lon, "radius": radius_km}


class _Order(NamedTuple):
    key: SQL
    direction: SQL
    beyond: SQL
    indexed: bool = False


_UP, _DOWN = (SQL("ASC"), SQL(">")), (SQL("DESC"), SQL("<"))
_KM = SQL("km_between(i.place, point(%(lon)s, %(lat)s))")
_ORDERS: dict[Sort, _Order] = {
    "newest": _Order(SQL("i.created_at"), *_DOWN, indexed=True),
    "price": _Order(SQL("i.day_price"), *_UP, indexed=True),
    "distance": _Order(_KM, *_UP),
    "relevance": _Order(SQL("ts_rank(i.search, asked(%(q)s))::double precision"), *_DOWN),
}
_LIKENESS = _Order(SQL("word_similarity(folded(%(q)s), folded(i.title))::double precision"), *_DOWN)
_CONDITIONS = {
    "q": SQL("i.search @@ asked(%(q)s)"),
    "similar": SQL("folded(%(q)s) <%% folded(i.title)"),
    "category": SQL("i.category = ANY (%(family)s)"),
    "near": SQL("""(i.place <@ box(point(%(west_0)s, %(south_0)s), point(%(east_0)s, %(north_0)s))
                OR i.place <@ box(point(%(west_1)s, %(south_1)s), point(%(east_1)s, %(north_1)s)))
            AND km_between(i.place, point(%(lon)s, %(lat)s)) <= %(radius)s"""),
    "max_price": SQL("i.day_price <= %(max_price)s"),
    "owner": SQL("i.owner_id = %(owner)s AND i.offered"),
    "own": SQL("i.owner_id = %(owner)s AND i.deleted_at IS NULL"),
    "unlisted": SQL("i.deleted_at IS NULL"),
}
_ANYTHING, _OFFERED = SQL("true"), SQL("i.offered")
# In order of cost. As a CASE because the planner must not make joins of it, nor believe that hardly anything passes: it
# would then gather all candidates instead of stopping when the page is full.
_FREE = SQL("""CASE
            WHEN c.min_hours > %(at_least)s OR c.max_hours < %(at_most)s
                OR app_now() + make_interval(hours => c.notice_hours) > %(from)s::timestamptz + interval '5 minutes'
                OR app_now() + make_interval(days => c.horizon_days + 1) <= %(from)s THEN false
            WHEN EXISTS (
                SELECT FROM blackouts b
                WHERE b.item_id = c.id AND b.period && tstzrange(%(from)s, %(to)s::timestamptz + c.buffer)) THEN false
            WHEN EXISTS (SELECT FROM free_units(c.id, tstzrange(%(from)s, %(to)s), c.buffer)) THEN true
            WHEN (SELECT count(u.id) FROM units u WHERE u.item_id = c.id AND u.retired_at IS NULL) > 1
                THEN (SELECT r.units FROM room(c.id, tstzrange(%(from)s, %(to)s), c.buffer) r) > 0
            ELSE false END""")
# What must be computed to sort by is computed and sorted first. An index has its order already: there the planner is
# free to walk down it and to ask the calendar on the way.
_FENCE = SQL("ORDER BY {key} {direction}, i.id {direction} OFFSET 0")
_FIND = SQL("""
    SELECT c.id, c.key, c.km
    FROM (
        SELECT i.id, {key} AS key, {km} AS km, make_interval(mins => i.buffer_minutes) AS buffer,
            i.min_hours, i.max_hours, i.notice_hours, i.horizon_days
        FROM items i
        WHERE {conditions}
        {fence}) c
    WHERE {free}
    ORDER BY c.key {direction}, c.id {direction} LIMIT %(limit)s""")


@cache  # few: the combinations of conditions that people ask for
def _statement(sort: Sort, parts: tuple[str, ...], *, dated: bool, later: bool) -> Composed:
    order = _LIKENESS if "similar" in parts and sort == "relevance" else _ORDERS[sort]
    conditions: list[SQL | Composed] = [_CONDITIONS[name] for name in parts]
    if not {"owner", "own", "unlisted"} & set(parts):
        conditions.append(_OFFERED)
    if later:
        conditions.append(SQL("({key}, i.id) {beyond} (%(key)s, %(id)s)").format(key=order.key, beyond=order.beyond))
    return _FIND.format(
        key=order.key,
        km=_KM if "near" in parts else SQL("NULL::double precision"),
        conditions=SQL(" AND ").join(conditions),
        direction=order.direction,
        fence=SQL("") if order.indexed else _FENCE.format(key=order.key, direction=order.direction),
        free=_FREE if dated else _ANYTHING,
    )
