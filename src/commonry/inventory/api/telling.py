"""What the gateways may keep of our answers, and how they are told that something changed.

An item's own answer is about the item and its owner; a list is about all items; free and busy about one calendar.
Whoever changes an item tells before answering, so that everybody sees the change from then on. Reservations only tell
on the way: a calendar that is seen is at most two seconds old, and the constraint decides anyway.
"""

from uuid import UUID

from commonry.contracts.events import MemberErased, MemberReinstated, MemberSuspended, ReviewPublished
from commonry.contracts.words import Message
from commonry.inventory.rules.search import Search
from commonry.kit.cache import Cache
from commonry.kit.standby import Standby
from commonry.kit.tags import kept, purge

HOUR, DAY = 3600, 86400
CATEGORIES = kept("categories", seconds=300, revalidate=300, on_error=DAY, everyone=True)


def of_item(item: UUID, owner: UUID) -> dict[str, str]:
    """An item."""
    return kept(f"item:{item}", f"owner:{owner}", seconds=10, revalidate=10, on_error=DAY)


def of_photo(item: UUID, owner: UUID) -> dict[str, str]:
    """A photo. Its address always means the same picture, so browsers keep it for good."""
    said = kept(f"item:{item}", f"owner:{owner}", seconds=HOUR, on_error=DAY, everyone=True)
    return said | {"cache-control": f"public, max-age={365 * DAY}, immutable"}


def of_list(search: Search, *, late: bool) -> dict[str, str]:
    """A list of items. With dates it speaks of reservations too, and is never older than two seconds: of which one may
    be over when it comes, as what is read from a standby is `late`."""
    if search.from_ or search.to:
        return kept("items", seconds=1, revalidate=0 if late else 1)
    return kept("items", seconds=10, revalidate=10, on_error=HOUR)


def of_calendar(item: UUID) -> dict[str, str]:
    """When an item is free."""
    return kept(f"item:{item}", f"calendar:{item}", seconds=2, on_error=60)


class Gateways:
    """All of them, as those to be told; once nobody reads from a standby any more that has not heard of the change."""

    def __init__(self, cache: Cache, standby: Standby) -> None:
        self._cache, self._standby = cache, standby

    async def item_changed(self, item: UUID) -> None:
        """An item is another one now, or gone."""
        await self._changed(f"item:{item}", "items")

    async def list_changed(self) -> None:
        """There is one more item."""
        await self._changed("items")

    async def items_of_owner_changed(self, owner: UUID) -> None:
        """Any number of somebody's items are."""
        await self._changed(f"owner:{owner}", "items")

    async def closed_or_opened(self, item: UUID) -> None:
        """Its owner has said when it is not to be had."""
        await purge(self._cache, f"calendar:{item}")

    async def calendar_changed(self, item: UUID | None) -> None:
        """A reservation came, moved or went."""
        if item is not None:
            await purge(self._cache, f"calendar:{item}", wait=False)

    async def _changed(self, *tags: str) -> None:
        await self._standby.written()
        await purge(self._cache, *tags)

    async def heard(self, event: Message) -> None:
        """An event of another service was applied here."""
        match event:
            case ReviewPublished():
                await self.item_changed(event.item_id)
            case MemberSuspended() | MemberReinstated() | MemberErased():
                await self.items_of_owner_changed(event.member_id)
            case _:
                pass
