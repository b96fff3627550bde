"""What the parties of a booking write down, and photograph, when the thing changes hands."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from commonry.contracts.bookings import HandoverRecord, HandoverReport
from commonry.contracts.photos import Photo
from commonry.kit.db import Tx, as_json, many, run, value, values
from commonry.kit.pictures import EDGES

MOST = 24
"""Photos of one booking and party."""


async def report(tx: Tx, booking: UUID, kind: str, by: UUID, report: HandoverReport) -> None:
    """Keep what a party said about the condition at a handover; the first word counts."""
    row = {"id": booking, "kind": kind, "by": by, "condition": report.condition, "note": report.note}
    await run(tx, _REPORT, row | {"photos": as_json(report.photos)})


async def of_booking(tx: Tx, booking: UUID) -> list[HandoverRecord]:
    """All that was written down, in order."""
    return await many(tx, _record, _OF_BOOKING, {"booking": booking})


async def photographed(tx: Tx, booking: UUID, by: UUID) -> list[UUID]:
    """The photos a party has added to a booking."""
    query = "SELECT id FROM handover_photos WHERE booking_id = %(booking)s AND by_id = %(by)s"
    return await values(tx, query, {"booking": booking, "by": by})


async def add_photo(tx: Tx, booking: UUID, by: UUID, photo: UUID, width: int, height: int) -> None:
    """A photo whose files are there. Again is the same."""
    row = {"id": photo, "booking": booking, "by": by, "width": width, "height": height}
    await run(tx, _ADD, row)


async def has_photo(tx: Tx, booking: UUID, photo: UUID) -> bool:
    """Whether this is a photo of that booking."""
    query = "SELECT EXISTS (SELECT FROM handover_photos WHERE id = %(photo)s AND booking_id = %(booking)s)"
    return bool(await value(tx, query, {"booking": booking, "photo": photo}))


async def known(tx: Tx, photos: Sequence[UUID]) -> set[UUID]:
    """Which of these have a row."""
    return set(await values(tx, "SELECT id FROM handover_photos WHERE id = ANY (%(photos)s)", {"photos": list(photos)}))


def shown(booking: UUID, photo: UUID, width: int, height: int) -> Photo:
    """A photo as the parties get it."""
    small, medium, large = (f"/api/v1/bookings/{booking}/photos/{photo}/{edge}" for edge in EDGES)
    return Photo(id=photo, alt="", width=width, height=height, small=small, medium=medium, large=large)


def _record(*, booking_id: UUID, photos: list[dict[str, Any]] | None, **row: Any) -> HandoverRecord:
    seen = [shown(booking_id, UUID(p["id"]), p["width"], p["height"]) for p in photos or ()]
    return HandoverRecord(photos=seen, **row)


_REPORT: LiteralString = """
    INSERT INTO handovers (booking_id, kind, by_id, condition, note, photos)
    VALUES (%(id)s, %(kind)s, %(by)s, %(condition)s, %(note)s, %(photos)s)
    ON CONFLICT DO NOTHING"""
_ADD: LiteralString = """
    INSERT INTO handover_photos (id, booking_id, by_id, width, height)
    VALUES (%(id)s, %(booking)s, %(by)s, %(width)s, %(height)s)
    ON CONFLICT DO NOTHING"""
_OF_BOOKING: LiteralString = """
    SELECT h.booking_id, h.kind, h.by_id, h.at, h.condition, h.note,
        (SELECT jsonb_agg(jsonb_build_object('id', p.id, 'width', p.width, 'height', p.height) ORDER BY p.id)
            FROM handover_photos p
            WHERE p.booking_id = h.booking_id AND p.by_id = h.by_id AND h.photos ? p.id::text) AS photos
    FROM handovers h WHERE h.booking_id = %(booking)s ORDER BY h.at, h.kind, h.by_id"""
