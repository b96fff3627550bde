"""What other services tell, each event applied once."""

from uuid import UUID

from commonry.contracts.events import MemberErased, MemberReinstated, MemberSuspended, ReviewPublished
from commonry.contracts.words import Message
from commonry.kit.db import Tx, run
from commonry.kit.outbox import first_time


async def apply(tx: Tx, event_id: UUID, event: Message) -> None:
    """Do what the event means here. An event that was applied before, or means nothing here, changes nothing."""
    if not await first_time(tx, event_id):
        return
    match event:
        case ReviewPublished():
            await run(tx, _RATE, {"item": event.item_id, "rating": event.rating})
        case MemberSuspended():
            await run(tx, _SUSPEND, {"owner": event.member_id, "suspended": True})
        case MemberReinstated():
            await run(tx, _SUSPEND, {"owner": event.member_id, "suspended": False})
        case MemberErased():
            await run(tx, _ERASE, {"owner": event.member_id})
            await run(tx, _ERASE_PHOTOS, {"owner": event.member_id})
        case _:
            pass


_RATE = """
    UPDATE items SET rating_sum = rating_sum + %(rating)s, rating_count = rating_count + 1 WHERE id = %(item)s"""
_SUSPEND = """
    WITH mine AS (SELECT id FROM items WHERE owner_id = %(owner)s ORDER BY id FOR UPDATE)
    UPDATE items SET owner_suspended = %(suspended)s FROM mine WHERE items.id = mine.id"""
_ERASE = """
    WITH mine AS (SELECT id FROM items WHERE owner_id = %(owner)s ORDER BY id FOR UPDATE)
    UPDATE items SET status = 'unlisted', address = NULL, place_label = 'Not offered any more',
        lat = place[1], lon = place[0], version = version + 1, updated_at = app_now()
    FROM mine WHERE items.id = mine.id"""
_ERASE_PHOTOS = """
    UPDATE photos SET gone_at = app_now() FROM items i
    WHERE i.id = photos.item_id AND i.owner_id = %(owner)s AND photos.gone_at IS NULL"""
