"""Photos of handovers: sent along with what is written down, and shown to the two parties."""

from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Booking, HandoverRecord
from commonry.contracts.photos import Photo
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid, Problem
from commonry.web.forms import Form, multipart
from commonry.web.rules import deeds
from commonry.web.visit import Visit

PATIENCE = 25.0
"""Seconds that writing some photos anew may take."""


async def of_booking(visit: Visit, booking: Booking) -> list[HandoverRecord]:
    """What was written down at the pickup and the return, so far."""
    if booking.state not in deeds.HANDED_OVER:
        return []
    return (await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking.id}/handovers", Page[HandoverRecord])).data


async def kept(visit: Visit, booking: UUID, form: Form) -> list[str]:
    """The ids of a form's photos, which are sent to bookings; what is wrong with them is noted."""
    if not form.files:
        return []
    kind, body = await multipart(form)
    try:
        where = f"/api/v1/bookings/{booking}/photos"
        made = await visit.ask("bookings", "POST", where, Page[Photo], body, kind=kind, timeout=PATIENCE)
    except NotValid as e:
        words = [one["message"] for one in e.document().get("errors", [])] or [e.detail]
        form.wrong("photo", f"A photo {words[0]}.")
        return []
    except Problem as e:
        if e.status not in (413, 503):
            raise
        form.wrong("photo", e.detail)
        return []
    return [str(photo.id) for photo in made.data]


@get("/bookings/{booking_id:uuid}/photos/{photo_id:uuid}/{edge:int}", include_in_schema=False)
async def photo(visit: Visit, booking_id: UUID, photo_id: UUID, edge: int) -> Response[bytes]:
    visit.signed_in()
    where = f"/api/v1/bookings/{booking_id}/photos/{photo_id}/{edge}"
    found = await visit.ask("bookings", "GET", where, bytes)
    return Response(found, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})


routes: list[HTTPRouteHandler] = [photo]
