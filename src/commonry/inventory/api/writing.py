"""How an item is made, changed and taken away: checked whole, all mistakes at once."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from commonry.contracts.inventory import Item, NewItem
from commonry.contracts.settings import Settings
from commonry.inventory.api.viewing import seen_by, theirs_locked
from commonry.inventory.rules.items import is_meant, mistakes_in_item
from commonry.inventory.store import items, room
from commonry.kit.auth import Caller
from commonry.kit.db import Tx
from commonry.kit.problems import Changed, NotValid


async def create(
    tx: Tx, item: UUID, caller: Caller, new: NewItem, settings: Settings, *, source_ref: str | None = None
) -> Item:
    """A new item of the caller's. Raises `NotValid`."""
    await items.insert(tx, item, caller.id, await checked(tx, new, settings), source_ref=source_ref)
    await room.set_quantity(tx, item, new.quantity)
    return seen_by(await items.read(tx, item), caller)


async def change(
    tx: Tx,
    item: UUID,
    caller: Caller,
    changes: Callable[[Item], NewItem],
    settings: Settings,
    *,
    if_match: str | None = None,
) -> Item:
    """The item as `changes` makes it of what it is.

    Raises what `theirs_locked` does, `Changed`, `NotValid`, `ItemHasBookings`."""
    kept = await theirs_locked(tx, item, caller)
    if not is_meant(if_match, kept.item.version):
        raise Changed
    new = await checked(tx, changes(seen_by(kept, caller)), settings)
    await items.update(tx, item, new)
    await room.set_quantity(tx, item, new.quantity)
    return seen_by(await items.read(tx, item), caller)


async def remove(tx: Tx, item: UUID, caller: Caller, *, if_match: str | None = None) -> None:
    """Take the item away. Raises what `theirs_locked` does, `Changed`, `ItemHasBookings`."""
    kept = await theirs_locked(tx, item, caller)
    if not is_meant(if_match, kept.item.version):
        raise Changed
    await items.delete(tx, item)


async def checked(tx: Tx, new: NewItem, settings: Settings) -> NewItem:
    """The item with its time zone filled in. Raises `NotValid` with everything that is wrong."""
    mistakes = mistakes_in_item(new, await items.slugs(tx))
    if mistakes:
        raise NotValid(*mistakes)
    return msgspec.structs.replace(new, time_zone=new.time_zone or settings.time_zone)
