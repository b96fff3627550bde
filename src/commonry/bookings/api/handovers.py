"""What was written down and photographed at handovers: for the two parties and managers, and nobody else."""

from collections.abc import Sequence
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
from commonry.kit.pictures import Album, Sent
from commonry.kit.problems import Mistake, NotAllowed, NotFound, NotValid
from commonry.kit.uploads import LARGEST_BODY, TakesPictures, kept, pictures_in

PATH = "/api/v1/bookings/{booking_id:uuid}"
SIGNED_IN = [{"bearer": list[str]()}]
OPEN = ("confirmed", "in_use", "returned")
"""States in which there is something to photograph."""


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
    sent = await pictures_in(request, booking_id, caller.id)
    return Page(await _added(sent, booking_id, caller, db, album))


async def _added(sent: Sequence[Sent], booking: UUID, caller: Caller, db: Database, album: Album) -> list[Photo]:
    await _check_room(db, booking, caller, sent)
    pictures = await kept(album, sent)
    sizes = {one.name: (picture.width, picture.height) for one, picture in zip(sent, pictures, strict=True)}
    async with db.tx() as tx:
        for name, (width, height) in sizes.items():
            await store.add_photo(tx, booking, caller.id, name, width, height)
    return [store.shown(booking, name, *size) for name, size in sizes.items()]


async def _check_room(db: Database, booking: UUID, caller: Caller, sent: Sequence[Sent]) -> None:
    async with db.read() as tx:
        has = await store.photographed(tx, booking, caller.id)
    if len({*has, *(one.name for one in sent)}) > MOST:
        raise NotValid(Mistake("photo", f"each party adds at most {MOST} photos to a booking"))


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
