"""An item's photos for its owner: added, described, put in order, taken away."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.inventory import Item
from commonry.contracts.photos import Photo, WantedPhoto, WantedPhotos
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid, Problem
from commonry.web.forms import Form, filled_in, multipart
from commonry.web.owning import own
from commonry.web.visit import Visit

FIRST, UP, REMOVE = "first", "up", "remove"
PATIENCE = 25.0
"""Seconds that writing some photos anew may take."""


@get("/items/{item_id:uuid}/photos", include_in_schema=False)
async def photos_page(visit: Visit, item_id: UUID) -> Response[str]:
    return await page_of(visit, await own(visit, item_id), None)


async def page_of(visit: Visit, item: Item, form: Form | None, status: int = 200) -> Response[str]:
    """The page of an item's photos, with what is wrong."""
    return await visit.page("photos.html", status=status, here="lending", item=item, form=form)


@post("/items/{item_id:uuid}/photos", include_in_schema=False, status_code=303)
async def change_photos(visit: Visit, item_id: UUID) -> Response[str] | Response[None]:
    """With files: they are added. Without: the texts are saved, and what the pressed button says is done."""
    form = await filled_in(visit)
    item = await own(visit, item_id)
    if form.files:
        await add(visit, item_id, form)
    elif form.text("do") == "add":
        form.wrong("photo", "Choose at least one picture.")
    else:
        await _arrange(visit, item_id, _wanted(item.photos, form))
    if form.mistakes:
        return await page_of(visit, item, form, 422)
    return visit.go(f"/items/{item_id}/photos", "photos")


async def add(visit: Visit, item: UUID, form: Form) -> None:
    """Send a form's files to inventory; what is wrong with them is noted beside the field."""
    kind, body = await multipart(form)
    try:
        where = f"/api/v1/items/{item}/photos"
        await visit.ask("inventory", "POST", where, Page[Photo], body, kind=kind, timeout=PATIENCE)
    except NotValid as e:
        names = [file.filename for file in form.files]
        for one in e.document().get("errors", []):
            number = str(one["at"]).removeprefix("photo.")
            name = names[int(number)] if number.isdecimal() and int(number) < len(names) else ""
            form.wrong("photo", f"“{name}” {one['message']}." if name else f"Sorry: {one['message']}.")
    except Problem as e:
        if e.status not in (413, 503):
            raise
        form.wrong("photo", e.detail)


def _wanted(there: Sequence[Photo], form: Form) -> list[WantedPhoto]:
    does, _, about = form.text("do").partition(" ")
    ids = [str(photo.id) for photo in there]
    if about in ids:
        at = ids.index(about)
        ids.pop(at)
        if does != REMOVE:
            ids.insert(0 if does == FIRST else max(at - 1, 0), about)
    said: dict[str, Any] = {str(photo.id): form.said.get(f"alt-{photo.id}", photo.alt).strip()[:300] for photo in there}
    return [WantedPhoto(id=UUID(photo), alt=said[photo]) for photo in ids]


async def _arrange(visit: Visit, item: UUID, wanted: list[WantedPhoto]) -> None:
    await visit.ask("inventory", "PUT", f"/api/v1/items/{item}/photos", Page[Photo], WantedPhotos(photos=wanted))


routes: list[HTTPRouteHandler] = [photos_page, change_photos]
