"""What was written down and photographed at handovers: for the two parties and managers, and nobody else."""

import hashlib
import hmac
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from commonry.bookings.api.bookings import visible
from commonry.bookings.rules import views
from commonry.bookings.store import handovers as store
from commonry.bookings.store.handovers import MOST
from commonry.contracts.bookings import HandoverRecord
from commonry.contracts.photos import Photo
from commonry.contracts.problems import NotInThatState
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.pages import Page
from commonry.kit.pictures import Album, NotAPicture
from commonry.kit.problems import Mistake, NotAllowed, NotFound, NotValid
from commonry.kit.uploads import LARGEST_BODY, TakesPictures, pictures_in

PATH = "/api/v1/bookings/{booking_id:uuid}"
SIGNED_IN = [{"bearer": list[str]()}]
OPEN = ("confirmed", "in_use", "returned")
"""States in which there is something to photograph."""
Req = Request[object, object, State]


@get(
    PATH + "/handovers",
    summary="What was written down at handovers",
    operation_id="list_handovers",
    tags=["bookings"],
    security=SIGNED_IN,
)
async def of_booking(booking_id: UUID, caller: Caller, db: Database) -> Page[HandoverRecord]:
    await visible(db, booking_id, caller)
    async with db.read() as tx:
        return Page(await store.of_booking(tx, booking_id))


@post(
    PATH + "/photos",
    summary="Add photos for a handover",
    operation_id="add_handover_photos",
    tags=["bookings"],
    security=SIGNED_IN,
    operation_class=TakesPictures,
    request_max_body_size=LARGEST_BODY,
)
async def add_photos(
    request: Request[object, object, State], booking_id: UUID, caller: Caller, db: Database, album: Album
) -> Page[Photo]:
    row = await visible(db, booking_id, caller)
    if views.side(row.booking, caller.id) is None:
        raise NotAllowed
    if row.booking.state not in OPEN:
        raise NotInThatState(state=row.booking.state)
    return Page(
        [await _kept(photo, booking_id, caller, db, album) for photo in await _new(request, caller, db, row.id)]
    )


async def _new(request: Req, caller: Caller, db: Database, booking: UUID) -> list[tuple[UUID, bytes]]:
    """The pictures that were sent, each with the name made of it: sent twice, it is one."""
    secret = request.app.state.door.secret_for("photos")
    sent = [
        (UUID(bytes=_digest(secret, booking, caller.id, content), version=4), content)
        for content, _ in await pictures_in(request)
    ]
    async with db.read() as tx:
        has = await store.photographed(tx, booking, caller.id)
    if len({*has, *(name for name, _ in sent)}) > MOST:
        raise NotValid(Mistake("photo", f"each party adds at most {MOST} photos to a booking"))
    return sent


def _digest(secret: bytes, booking: UUID, by: UUID, content: bytes) -> bytes:
    return hmac.digest(secret, booking.bytes + by.bytes + hashlib.sha256(content).digest(), "sha256")[:16]


async def _kept(photo: tuple[UUID, bytes], booking: UUID, caller: Caller, db: Database, album: Album) -> Photo:
    name, content = photo
    try:
        made = await album.keep(str(name), content)
    except NotAPicture as e:
        raise NotValid(Mistake("photo", str(e))) from e
    async with db.tx() as tx:
        await store.add_photo(tx, booking, caller.id, name, made.width, made.height)
    return store.shown(booking, name, made.width, made.height)


@get(
    PATH + "/photos/{photo_id:uuid}/{edge:int}",
    summary="A photo of a handover",
    operation_id="handover_photo",
    tags=["bookings"],
    security=SIGNED_IN,
    media_type="image/webp",
)
async def photo(
    booking_id: UUID, photo_id: UUID, edge: int, caller: Caller, db: Database, album: Album
) -> Response[bytes]:
    await visible(db, booking_id, caller)
    async with db.read() as tx:
        is_there = await store.has_photo(tx, booking_id, photo_id)
    found = await album.read(str(photo_id), edge) if is_there else None
    if found is None:
        raise NotFound
    return Response(found, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})


routes: list[HTTPRouteHandler] = [of_booking, add_photos, photo]
