"""Routes of items: found and read by anyone, written by their owner or a manager."""

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post, put
from litestar.params import Parameter

from commonry.contracts.inventory import Category, Item, ItemChanges, NewItem, Sort
from commonry.contracts.settings import Settings
from commonry.contracts.words import Instant
from commonry.inventory.api import listing, telling, writing
from commonry.inventory.api.telling import Gateways
from commonry.inventory.api.viewing import is_theirs, seen_by, visible
from commonry.inventory.rules.items import etag, merged
from commonry.inventory.rules.search import Search
from commonry.inventory.searches import Searches
from commonry.inventory.store import items
from commonry.kit.auth import Caller
from commonry.kit.db import Database, Tx
from commonry.kit.ids import new_id
from commonry.kit.pages import Cursor, Limit, Page
from commonry.kit.service import Once
from commonry.kit.standby import Standby

Words = Annotated[str | None, Parameter(max_length=200, description='Words to find; `"a phrase"`, `or`, `-without`.')]
Slug = Annotated[str | None, Parameter(max_length=60, description="A category's slug; its children's items too.")]
Near = Annotated[str | None, Parameter(max_length=60, description="`lat,lon`: only items around here.")]
Radius = Annotated[float | None, Parameter(gt=0, le=20_038, description="How far from `near`, in kilometres; 10.")]
From = Annotated[Instant | None, Parameter(query="from", description="With `to`: only items free for all of it.")]
To = Annotated[Instant | None, Parameter(description="The end of the period that begins at `from`.")]
MaxPrice = Annotated[
    int | None,
    Parameter(
        ge=0, le=10**15, description="Most that a day may cost, in minor units: an hour's price counts 24 times."
    ),
]
Owner = Annotated[UUID | None, Parameter(description="Only this member's items; your own also when unlisted.")]
Unlisted = Annotated[bool, Parameter(description="Also what is not listed: for managers.")]
Order = Annotated[
    Sort | None, Parameter(description="Default: `relevance` with `q`, else `distance` with `near`, else `newest`.")
]
Counted = Annotated[
    bool, Parameter(description="Whether it counts as somebody's search, in the figures of what people look for.")
]
IfMatch = Annotated[
    str | None, Parameter(header="If-Match", max_length=200, description="Only if it still has this ETag.")
]


@get("/api/v1/items", summary="Find items", operation_id="find_items", tags=["items"])
async def find_items(
    visitor: Caller | None,
    standby: Standby,
    searches: Searches,
    q: Words = None,
    category: Slug = None,
    near: Near = None,
    radius_km: Radius = None,
    from_: From = None,
    to: To = None,
    max_price: MaxPrice = None,
    owner: Owner = None,
    unlisted: Unlisted = False,
    sort: Order = None,
    counted: Counted = True,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response[Page[Item]]:
    search = Search(
        (q or "").strip() or None, category, near, radius_km, from_, to, max_price, owner, sort, unlisted or None
    )
    found = await standby.ask(lambda tx: listing.found(tx, search, visitor, limit, cursor))
    if counted and cursor is None:
        searches.note(search, answered=bool(found.data))
    return Response(found, headers=telling.of_list(search, late=standby.copy is not None))


@get("/api/v1/categories", summary="All categories", operation_id="categories", tags=["items"])
async def categories(db: Database) -> Response[Page[Category]]:
    async with db.read() as tx:
        return Response(Page(await items.categories(tx)), headers=telling.CATEGORIES)


@get("/api/v1/items/{item_id:uuid}", summary="An item", operation_id="item", tags=["items"])
async def item(item_id: UUID, visitor: Caller | None, db: Database) -> Response[Item]:
    async with db.read() as tx:
        kept = await visible(tx, item_id, visitor)
    tags = telling.of_item(item_id, kept.item.owner_id)
    return Response(
        seen_by(kept, visitor), headers={"etag": etag(kept.item, exact=is_theirs(kept.item, visitor)), **tags}
    )


SIGNED_IN = [{"bearer": list[str]()}]


@post("/api/v1/items", summary="Offer an item", operation_id="offer_item", tags=["items"], security=SIGNED_IN)
async def offer_item(
    data: NewItem, caller: Caller, once: Once, settings: Settings, gateways: Gateways
) -> Response[Item]:
    async def work(tx: Tx) -> Item:
        return await writing.create(tx, new_id(), caller, data, settings)

    answer = await once(work, location="/api/v1/items/{id}")
    await gateways.list_changed()
    return answer


@put(
    "/api/v1/items/{item_id:uuid}",
    summary="Replace an item",
    operation_id="replace_item",
    tags=["items"],
    security=SIGNED_IN,
)
async def replace_item(
    item_id: UUID,
    data: NewItem,
    caller: Caller,
    db: Database,
    settings: Settings,
    gateways: Gateways,
    if_match: IfMatch = None,
) -> Response[Item]:
    changed = await db.transact(
        lambda tx: writing.change(tx, item_id, caller, lambda _: data, settings, if_match=if_match)
    )
    await gateways.item_changed(item_id)
    return Response(changed, headers={"etag": etag(changed, exact=True)})


@patch(
    "/api/v1/items/{item_id:uuid}",
    summary="Change an item",
    operation_id="change_item",
    tags=["items"],
    security=SIGNED_IN,
)
async def change_item(
    item_id: UUID,
    data: ItemChanges,
    caller: Caller,
    db: Database,
    settings: Settings,
    gateways: Gateways,
    if_match: IfMatch = None,
) -> Response[Item]:
    changed = await db.transact(
        lambda tx: writing.change(tx, item_id, caller, lambda known: merged(known, data), settings, if_match=if_match)
    )
    await gateways.item_changed(item_id)
    return Response(changed, headers={"etag": etag(changed, exact=True)})


@delete(
    "/api/v1/items/{item_id:uuid}",
    summary="Take an item away",
    operation_id="delete_item",
    tags=["items"],
    security=SIGNED_IN,
)
async def delete_item(
    item_id: UUID, caller: Caller, db: Database, gateways: Gateways, if_match: IfMatch = None
) -> None:
    await db.transact(lambda tx: writing.remove(tx, item_id, caller, if_match=if_match))
    await gateways.item_changed(item_id)


routes = [find_items, categories, item, offer_item, replace_item, change_item, delete_item]
