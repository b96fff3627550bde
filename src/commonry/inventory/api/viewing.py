"""Who may see what of an item, and who may write it."""

from uuid import UUID

import msgspec

from commonry.contracts.inventory import Item
from commonry.inventory.store import items
from commonry.inventory.store.items import Kept
from commonry.kit.auth import Caller
from commonry.kit.db import Tx
from commonry.kit.problems import NotAllowed, NotFound


def is_theirs(item: Item, caller: Caller | None) -> bool:
    """Whether the caller owns the item or runs the community."""
    return caller is not None and (caller.manages or caller.id == item.owner_id)


def seen_by(kept: Kept, caller: Caller | None) -> Item:
    """The item, with its exact place for those who may know."""
    return msgspec.structs.replace(kept.item, location=kept.exact) if is_theirs(kept.item, caller) else kept.item


async def visible(tx: Tx, item: UUID, visitor: Caller | None) -> Kept:
    """An item that the visitor may know of. Raises `NotFound`."""
    kept = await items.read(tx, item)
    if not (kept.offered or is_theirs(kept.item, visitor)):
        raise NotFound
    return kept


async def theirs(tx: Tx, item: UUID, caller: Caller) -> Kept:
    """An item that is the caller's to change. Raises `NotFound`, `NotAllowed`."""
    kept = await visible(tx, item, caller)
    if not is_theirs(kept.item, caller):
        raise NotAllowed
    return kept


async def theirs_locked(tx: Tx, item: UUID, caller: Caller) -> Kept:
    """The same, and nobody else changes or holds it until this transaction ends. Who may not, does not lock either."""
    await theirs(tx, item, caller)
    return await items.read_locked(tx, item)
