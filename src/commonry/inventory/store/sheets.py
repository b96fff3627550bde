"""Many items at once: what an import looks up and writes, what an export reads.

Items go through `items` like any other, only in one pipeline instead of a round trip each; the units of new items are
made by one statement.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from msgspec.structs import replace
from psycopg import Rollback

from commonry.contracts.inventory import Item, NewItem
from commonry.inventory.rules.items import whole
from commonry.inventory.rules.sheets.matching import Known
from commonry.inventory.rules.sheets.writing import Listed
from commonry.inventory.store import items
from commonry.kit.db import Tx, many, run

T = TypeVar("T")
PAGE = 500
"""Items of an export that are read at a time."""


class Added(NamedTuple):
    """An item to be, and its name in its owner's list, if any."""

    id: UUID
    source_ref: str | None
    item: NewItem


class _Ref(NamedTuple):
    id: UUID
    source_ref: str | None


async def tried(tx: Tx, work: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """`work`'s result; what it wrote stays only when the result is `good`."""
    async with tx.transaction() as savepoint:
        result = await work()
        if not good(result):
            raise Rollback(savepoint)
    return result


async def alone(tx: Tx, owner: UUID) -> None:
    """Wait for this owner's other imports: two at once would not see each other's new items."""
    await run(tx, "SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))", {"name": f"import {owner}"})


async def names(tx: Tx, owner: UUID) -> list[Known]:
    """What the owner's items are called."""
    return await many(tx, Known, _NAMES, {"owner": owner})


async def present(tx: Tx, wanted: Sequence[UUID]) -> dict[UUID, NewItem]:
    """Items as their owner would send them to change nothing."""
    return {k.item.id: whole(_exact(k)) for k in await items.read_all(tx, list(wanted))}


async def lock(tx: Tx, wanted: Sequence[UUID]) -> None:
    """Keep holds and other changes of these items waiting."""
    await run(tx, "SELECT id FROM items WHERE id = ANY (%(ids)s) ORDER BY id FOR UPDATE", {"ids": list(wanted)})


async def add(tx: Tx, owner: UUID, new: Sequence[Added]) -> None:
    """New items with their units. A ref that only a deleted item has left is free again."""
    await run(tx, _FREE_REFS, {"owner": owner, "refs": [one.source_ref for one in new if one.source_ref]})
    async with tx.pipeline():
        for one in new:
            await items.insert(tx, one.id, owner, one.item, source_ref=one.source_ref)
    await run(tx, _UNITS, {"items": [one.id for one in new], "quantities": [one.item.quantity for one in new]})


async def change(tx: Tx, changed: Mapping[UUID, NewItem]) -> None:
    """What owners say of locked items, but for their quantity."""
    async with tx.pipeline():
        for item, new in changed.items():
            await items.update(tx, item, new)


async def page(tx: Tx, owner: UUID | None, after: UUID | None) -> tuple[list[Listed], UUID | None]:
    """The next items of one owner, or of all, by id; and after which id to go on, None at the end."""
    refs = await many(tx, _Ref, _PAGE, {"owner": owner, "after": after, "limit": PAGE})
    named = {ref.id: ref.source_ref for ref in refs}
    listed = [Listed(_exact(k), named[k.item.id]) for k in await items.read_all(tx, list(named))]
    return listed, refs[-1].id if len(refs) == PAGE else None


def _exact(kept: items.Kept) -> Item:
    """An item as its owner sees it."""
    return replace(kept.item, location=kept.exact)


_NAMES = "SELECT id, source_ref, title FROM items WHERE owner_id = %(owner)s AND deleted_at IS NULL ORDER BY id"
_FREE_REFS = """
    UPDATE items SET source_ref = NULL
    WHERE owner_id = %(owner)s AND deleted_at IS NOT NULL AND source_ref = ANY (%(refs)s)"""
_UNITS = """
    INSERT INTO units (item_id, label)
    SELECT new.id, number::text
    FROM unnest(%(items)s::uuid[], %(quantities)s::integer[]) AS new (id, quantity),
        generate_series(1, new.quantity) AS number"""
_PAGE = """
    SELECT id, source_ref FROM items
    WHERE deleted_at IS NULL AND (%(owner)s::uuid IS NULL OR owner_id = %(owner)s)
        AND (%(after)s::uuid IS NULL OR id > %(after)s)
    ORDER BY id LIMIT %(limit)s"""
