"""Photos of items: rows in order. A photo that is taken away is gone for everybody at once; its row a day later,
and then its files."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from commonry.contracts.photos import WantedPhoto
from commonry.kit.db import Tx, run, value, values

MOST = 12
"""Photos of one item."""
KEPT_FOR = timedelta(days=1)


class NewPhoto(NamedTuple):
    """A photo whose files are there."""

    id: UUID
    alt: str
    width: int
    height: int


async def of_item(tx: Tx, item: UUID) -> list[UUID]:
    """An item's photos, in order."""
    query = "SELECT id FROM photos WHERE item_id = %(item)s AND gone_at IS NULL ORDER BY position"
    return await values(tx, query, {"item": item})


async def owner_of(tx: Tx, item: UUID, photo: UUID) -> UUID | None:
    """Whose photo of that item this is; None if there is no such photo."""
    return await value(tx, _OWNER, {"item": item, "photo": photo})


async def add(tx: Tx, item: UUID, photos: Sequence[NewPhoto]) -> None:
    """More photos of a locked item, after those it has. One that is there already stays where it is."""
    for photo in photos:
        await run(tx, _ADD, photo._asdict() | {"item": item})


async def arrange(tx: Tx, item: UUID, photos: Sequence[WantedPhoto]) -> None:
    """Of a locked item's photos only these, in this order."""
    for position, photo in enumerate(photos):
        alt = photo.alt if isinstance(photo.alt, str) else None
        await run(tx, _ARRANGE, {"item": item, "id": photo.id, "position": position, "alt": alt})
    await remove_others(tx, item, [photo.id for photo in photos])


async def remove_others(tx: Tx, item: UUID, staying: Sequence[UUID] = ()) -> None:
    """All of a locked item's photos but these."""
    await run(tx, _REMOVE, {"item": item, "staying": list(staying)})


async def forget_long_gone(tx: Tx) -> None:
    """Photos that have been gone for a day; then nobody knows their files any more."""
    await run(tx, "DELETE FROM photos WHERE gone_at < app_now() - %(kept)s", {"kept": KEPT_FOR})


async def known(tx: Tx, photos: Sequence[UUID]) -> set[UUID]:
    """Which of these have a row, gone or not."""
    return set(await values(tx, "SELECT id FROM photos WHERE id = ANY (%(photos)s)", {"photos": list(photos)}))


_OWNER = """
    SELECT i.owner_id FROM photos p JOIN items i ON i.id = p.item_id
    WHERE p.id = %(photo)s AND p.item_id = %(item)s AND p.gone_at IS NULL"""
_ADD = """
    INSERT INTO photos (id, item_id, position, alt, width, height)
    SELECT %(id)s, %(item)s, coalesce(max(position) + 1, 0), %(alt)s, %(width)s, %(height)s
    FROM photos WHERE item_id = %(item)s AND gone_at IS NULL
    ON CONFLICT (id) DO UPDATE SET gone_at = NULL, alt = excluded.alt,
        position = CASE WHEN photos.gone_at IS NULL THEN photos.position ELSE excluded.position END"""
_ARRANGE = """
    UPDATE photos SET position = %(position)s, alt = coalesce(%(alt)s, alt)
    WHERE id = %(id)s AND item_id = %(item)s AND gone_at IS NULL"""
_REMOVE = """
    UPDATE photos SET gone_at = app_now()
    WHERE item_id = %(item)s AND gone_at IS NULL AND id <> ALL (%(staying)s::uuid[])"""
