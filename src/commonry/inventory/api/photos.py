"""Routes of an item's photos: added, arranged and taken away by who may write the item; seen by everybody."""

from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.photos import Photo, WantedPhotos
from commonry.inventory.api import telling
from commonry.inventory.api.telling import Gateways
from commonry.inventory.api.viewing import theirs, theirs_locked
from commonry.inventory.store import items, photos
from commonry.inventory.store.photos import MOST, NewPhoto
from commonry.kit.auth import Caller
from commonry.kit.db import Database, Tx
from commonry.kit.pages import Page
from commonry.kit.pictures import Album
from commonry.kit.problems import Mistake, NotFound, NotValid
from commonry.kit.uploads import LARGEST_BODY, TakesPictures, kept, pictures_in

WHERE = "/api/v1/items/{item_id:uuid}/photos"
SIGNED_IN = [{"bearer": list[str]()}]


@post(
    WHERE,
    summary="Add photos",
    operation_id="add_photos",
    tags=["items"],
    security=SIGNED_IN,
    operation_class=TakesPictures,
    request_max_body_size=LARGEST_BODY,
)
async def add_photos(
    request: Request[object, object, State],
    item_id: UUID,
    caller: Caller,
    db: Database,
    album: Album,
    gateways: Gateways,
) -> Response[Page[Photo]]:
    async with db.read() as tx:
        await theirs(tx, item_id, caller)
    sent = await pictures_in(request, item_id)
    pictures = await kept(album, sent)
    made = [NewPhoto(one.name, one.words, pic.width, pic.height) for one, pic in zip(sent, pictures, strict=True)]
    shown = await db.transact(lambda tx: _added(tx, item_id, caller, made))
    await gateways.item_changed(item_id)
    return Response(Page(shown))


async def _added(tx: Tx, item: UUID, caller: Caller, made: list[NewPhoto]) -> list[Photo]:
    await theirs_locked(tx, item, caller)
    has = await photos.of_item(tx, item)
    if len({*has, *(photo.id for photo in made)}) > MOST:
        raise NotValid(Mistake("photo", f"an item has at most {MOST} photos, and this one has {len(has)}"))
    await photos.add(tx, item, made)
    return await _changed(tx, item)


async def _changed(tx: Tx, item: UUID) -> list[Photo]:
    await items.touch(tx, item)
    return (await items.read(tx, item)).item.photos


@put(WHERE, summary="Arrange photos", operation_id="arrange_photos", tags=["items"], security=SIGNED_IN)
async def arrange_photos(
    item_id: UUID, data: WantedPhotos, caller: Caller, db: Database, gateways: Gateways
) -> Response[Page[Photo]]:
    shown = await db.transact(lambda tx: _arranged(tx, item_id, caller, data))
    await gateways.item_changed(item_id)
    return Response(Page(shown))


async def _arranged(tx: Tx, item: UUID, caller: Caller, wanted: WantedPhotos) -> list[Photo]:
    await theirs_locked(tx, item, caller)
    has, asked = await photos.of_item(tx, item), [photo.id for photo in wanted.photos]
    unknown = [n for n, photo in enumerate(asked) if photo not in has or photo in asked[:n]]
    if unknown:
        raise NotValid(*(Mistake(f"photos.{n}.id", "is no photo of this item, or is there twice") for n in unknown))
    await photos.arrange(tx, item, wanted.photos)
    return await _changed(tx, item)


@delete(WHERE, summary="Remove all photos", operation_id="remove_photos", tags=["items"], security=SIGNED_IN)
async def remove_photos(item_id: UUID, caller: Caller, db: Database, gateways: Gateways) -> None:
    await db.transact(lambda tx: _arranged(tx, item_id, caller, WantedPhotos(photos=[])))
    await gateways.item_changed(item_id)


@delete(
    WHERE + "/{photo_id:uuid}",
    summary="Remove a photo",
    operation_id="remove_photo",
    tags=["items"],
    security=SIGNED_IN,
)
async def remove_photo(item_id: UUID, photo_id: UUID, caller: Caller, db: Database, gateways: Gateways) -> None:
    await db.transact(lambda tx: _removed(tx, item_id, photo_id, caller))
    await gateways.item_changed(item_id)


async def _removed(tx: Tx, item: UUID, photo: UUID, caller: Caller) -> None:
    await theirs_locked(tx, item, caller)
    has = await photos.of_item(tx, item)
    if photo not in has:
        raise NotFound
    await photos.remove_others(tx, item, [one for one in has if one != photo])
    await items.touch(tx, item)


@get(
    WHERE + "/{photo_id:uuid}/{edge:int}",
    summary="A photo, with at most 400, 800 or 1600 pixels an edge",
    operation_id="photo",
    tags=["items"],
    media_type="image/webp",
)
async def photo(item_id: UUID, photo_id: UUID, edge: int, db: Database, album: Album) -> Response[bytes]:
    async with db.read() as tx:
        owner = await photos.owner_of(tx, item_id, photo_id)
    found = await album.read(str(photo_id), edge) if owner else None
    if found is None or owner is None:
        raise NotFound
    return Response(found, media_type="image/webp", headers=telling.of_photo(item_id, owner))


routes: list[HTTPRouteHandler] = [add_photos, arrange_photos, remove_photos, remove_photo, photo]
