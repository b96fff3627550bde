"""A page of found items: checked, found, and read in order."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
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
from commonry.kit.problems import NotAllowed, NotValid

_KEYS: dict[str, Any] = {"newest": datetime, "price": int, "distance": float, "relevance": float}


async def found(tx: Tx, search: Search, visitor: Caller | None, limit: int, cursor: str | None) -> Page[Item]:
    """One page. Raises `NotValid`, `NotAllowed`."""
    if search.unlisted and not (visitor and visitor.manages):
        raise NotAllowed("What is not listed is for managers.")
    family = await items.family(tx, search.category) if search.category is not None else []
    mistakes = mistakes_in_search(search, family)
    if mistakes:
        raise NotValid(*mistakes)
    name = f"items-{search.order}"
    after = decode(name, cursor, tuple[_KEYS[search.order], UUID, bool])
    private = visitor is not None and (visitor.manages or visitor.id == search.owner)
    asked = partial(find, tx, search, family, private=private, limit=limit + 1)
    hits, similar = await _hits(asked, search, After(*after) if after else None)
    shown = hits[:limit]
    following = encode(name, (shown[-1].key, shown[-1].id, similar)) if len(hits) > limit else None
    return Page(await _items(tx, shown, visitor), following)


async def _hits(
    asked: Callable[..., Awaitable[list[Hit]]], search: Search, after: After | None
) -> tuple[list[Hit], bool]:
    """What was found, and whether only by likeness: that is tried when the words as they are find nothing at all."""
    similar = bool(after and after.similar)
    hits = await asked(similar=similar, after=after)
    if hits or not search.q or after:
        return hits, similar
    return await asked(similar=True, after=None), True


async def _items(tx: Tx, hits: list[Hit], visitor: Caller | None) -> list[Item]:
    if not hits:
        return []
    km = {hit.id: None if hit.km is None else round(hit.km, 2) for hit in hits}
    kept = await items.read_all(tx, list(km))
    return [msgspec.structs.replace(seen_by(k, visitor), distance_km=km[k.item.id]) for k in kept]
