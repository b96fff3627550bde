"""A page of found items: checked, found, and read in order."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from commonry.contracts.inventory import Item
from commonry.inventory.api.viewing import seen_by
from commonry.inventory.rules.search import Search, mistakes_in_search
from commonry.inventory.store import items
from commonry.inventory.store.search import After, Hit, find
from commonry.kit.auth import Caller
from commonry.kit.db import Tx
from commonry.kit.pages import Page, decode, encode
from commonry.kit.problems import NotValid

_KEYS: dict[str, Any] = {"newest": datetime, "price": int, "distance": float, "relevance": float}


async def found(tx: Tx, search: Search, visitor: Caller | None, limit: int, cursor: str | None) -> Page[Item]:
    """One page. Raises `NotValid`."""
    mistakes = mistakes_in_search(search, await items.slugs(tx) if search.category is not None else set())
    if mistakes:
        raise NotValid(*mistakes)
    name = f"items-{search.order}"
    after = decode(name, cursor, tuple[_KEYS[search.order], UUID, bool])
    hits, similar = await _hits(tx, search, visitor, limit + 1, After(*after) if after else None)
    shown = hits[:limit]
    following = encode(name, (shown[-1].key, shown[-1].id, similar)) if len(hits) > limit else None
    return Page(await _items(tx, shown, visitor), following)


async def _hits(
    tx: Tx, search: Search, visitor: Caller | None, limit: int, after: After | None
) -> tuple[list[Hit], bool]:
    """What was found, and whether only by likeness: that is tried when the words as they are find nothing at all."""
    private = visitor is not None and (visitor.manages or visitor.id == search.owner)
    similar = bool(after and after.similar)
    hits = await find(tx, search, private=private, similar=similar, after=after, limit=limit)
    if hits or not search.q or after:
        return hits, similar
    return await find(tx, search, private=private, similar=True, after=None, limit=limit), True


async def _items(tx: Tx, hits: list[Hit], visitor: Caller | None) -> list[Item]:
    if not hits:
        return []
    km = {hit.id: None if hit.km is None else round(hit.km, 2) for hit in hits}
    kept = await items.read_all(tx, list(km))
    return [msgspec.structs.replace(seen_by(k, visitor), distance_km=km[k.item.id]) for k in kept]
