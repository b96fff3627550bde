"""Routes of tables: a CSV file of items in, the same out again.

What the file says is understood in a thread, since it may be large; `imports` does the rest in one transaction.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import State, UploadFile
from litestar.di import Provide
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import Parameter
from litestar.response import Stream

from commonry.contracts.inventory import BookingMode, Handover, ImportReport, is_zone
from commonry.contracts.money import EXPONENTS
from commonry.contracts.settings import Settings
from commonry.inventory.api.telling import Gateways
from commonry.inventory.imports import Wanted, bring_in
from commonry.inventory.rules.sheets import headings
from commonry.inventory.rules.sheets.drafts import Asked, understood
from commonry.inventory.rules.sheets.writing import Listed, heading_line, lines
from commonry.inventory.store import items, sheets
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.mistakes import NO_NUL
from commonry.kit.problems import Mistake, NotAllowed, NotValid, TooLarge, WrongMediaType
from commonry.kit.service import Once

MOST_BYTES = 8 * 2**20
ENVELOPE = 64 * 2**10
"""What a multipart body may have around its file."""

Req = Request[Any, Any, State]
NEEDS_TOKEN: list[dict[str, list[str]]] = [{"bearer": []}]


def _said(what: str, **limits: Any) -> Any:
    return Parameter(description=what, **limits)


Columns = Annotated[
    str | None,
    _said("`Their heading:field,…`: what columns mean where the guess is wrong; the field `-` leaves one out."),
]
DryRun = Annotated[bool, _said("Only tell what would happen; nothing is written.")]
Lat = Annotated[
    float | None, _said("Where items without a place are; without it, the community's middle.", ge=-90, le=90)
]
Lon = Annotated[float | None, _said("Goes with `lat`.", ge=-180, le=180)]
Place = Annotated[str | None, _said("What that place is called.", min_length=1, max_length=200, pattern=r"\S")]
Zone = Annotated[str | None, _said("IANA time zone of items that name none.")]
Coin = Annotated[str | None, _said("Currency of amounts that name none, by ISO 4217.")]
Mode = Annotated[BookingMode | None, _said("Booking mode of items that name none.")]
Hands = Annotated[Handover | None, _said("Handover of items that name none.")]


class Options(NamedTuple):
    """What the query says of the file."""

    overrides: dict[str, str]
    currency: str
    everywhere: dict[str, Any]
    defaults: dict[str, Any]
    dry_run: bool


_COLUMNS = (
    "must be Heading:field,Heading:field with the fields "
    + ", ".join([*headings.EXACT, headings.MAX_DAYS, headings.IGNORE])
    + "; this is not: {}"
)


def options(
    settings: Settings,
    columns: Columns = None,
    dry_run: DryRun = False,
    lat: Lat = None,
    lon: Lon = None,
    label: Place = None,
    time_zone: Zone = None,
    currency: Coin = None,
    booking_mode: Mode = None,
    handover: Hands = None,
) -> Options:
    """The query of an import. Raises `NotValid` with all its mistakes."""
    overrides = headings.told(columns or "")
    mistakes = [
        Mistake(f"query.{name}", message)
        for name, message, wrong in (
            ("columns", _COLUMNS.format(overrides), isinstance(overrides, str)),
            ("lat", "must be from -90 to 90, and together with lon", (lat is None and lon is not None) or lat != lat),
            ("lon", "must be from -180 to 180, and together with lat", (lon is None and lat is not None) or lon != lon),
            ("label", NO_NUL, "\0" in (label or "")),
            ("time_zone", "is not a time zone of the IANA database", time_zone is not None and not is_zone(time_zone)),
            (
                "currency",
                "is not a currency of ISO 4217, such as EUR",
                currency is not None and currency not in EXPONENTS,
            ),
        )
        if wrong
    ]
    if mistakes or isinstance(overrides, str):
        raise NotValid(*mistakes)
    place = _given(lat=lat, lon=lon, label=label)
    everywhere = _given(time_zone=time_zone, booking_mode=booking_mode, handover=handover, location=place or None)
    return Options(overrides, currency or settings.currency, everywhere, _defaults(settings), dry_run)


def _given(**named: Any) -> dict[str, Any]:
    return {name: value for name, value in named.items() if value is not None}


def _defaults(settings: Settings) -> dict[str, Any]:
    lat, lon, label = settings.place.split(",", 2)
    place = {"lat": float(lat), "lon": float(lon), "label": label.strip()}
    return {"location": place, "time_zone": settings.time_zone}


async def table_in(request: Req) -> bytes:
    """The CSV file in a request. Raises `WrongMediaType`, `TooLarge`, `NotValid` when there is none."""
    kind, _ = request.content_type
    if kind not in {"text/csv", "multipart/form-data"}:
        raise WrongMediaType("Send the table as text/csv, or as a file in multipart/form-data.")
    body = await request.body()
    table = body if kind == "text/csv" else await _file_in(request)
    if len(table) > MOST_BYTES:
        raise TooLarge(f"A table may have at most {MOST_BYTES // 2**20} MiB: import it in parts.")
    return table


async def _file_in(request: Req) -> bytes:
    parts = (await request.form()).multi_items()
    files = [part for name, part in parts if isinstance(part, UploadFile) or name == "file"]
    if len(files) != 1:
        raise NotValid(Mistake("body.file", f"must be one file; there are {len(files)}"))
    return await files[0].read() if isinstance(files[0], UploadFile) else str(files[0]).encode()


_TABLE = Schema(type=OpenAPIType.STRING, content_media_type="text/csv")
_FORM = Schema(type=OpenAPIType.OBJECT, properties={"file": _TABLE}, required=["file"])


class _TakesTable(Operation):
    """Documents the body, which the framework cannot see: the handler reads it itself."""

    def __post_init__(self) -> None:
        content = {"text/csv": OpenAPIMediaType(_TABLE), "multipart/form-data": OpenAPIMediaType(_FORM)}
        self.request_body = RequestBody(content, required=True)


@post(
    "/api/v1/items/import",
    status_code=200,
    summary="Add or update items from a CSV file",
    operation_id="import_items",
    tags=["items"],
    security=NEEDS_TOKEN,
    operation_class=_TakesTable,
    request_max_body_size=MOST_BYTES + ENVELOPE,
    dependencies={"options": Provide(options, sync_to_thread=False)},
)
async def import_items(
    request: Req, caller: Caller, once: Once, db: Database, options: Options, gateways: Gateways
) -> Response[ImportReport]:
    table = await table_in(request)
    wanted = await understand(db, caller.id, table, options)
    unkept = Once(db, None)  # a dry run's answer must not be replayed to the real thing
    answer = await (unkept if options.dry_run else once)(partial(bring_in, wanted=wanted), status=200)
    await gateways.items_of_owner_changed(caller.id)
    return answer


async def understand(db: Database, owner: UUID, table: bytes, options: Options) -> Wanted:
    """What a file asks for."""
    async with db.read() as tx:
        categories = await items.categories(tx)
    asked = Asked(owner, options.overrides, options.currency, options.everywhere)
    sheet = await asyncio.to_thread(understood, table, asked, categories)
    return Wanted(owner, sheet, options.defaults, frozenset(c.slug for c in categories), options.dry_run)


All = Annotated[bool, Parameter(query="all", description="Everyone's items, for managers.")]


@get(
    "/api/v1/items/export.csv",
    summary="Your items as a CSV file that imports again",
    operation_id="export_items",
    tags=["items"],
    security=NEEDS_TOKEN,
    media_type="text/csv",
)
async def export_items(caller: Caller, db: Database, everyone: All = False) -> Stream:
    if everyone and not caller.manages:
        raise NotAllowed
    owner = None if everyone else caller.id
    first = await _page(db, owner, None)  # before the answer begins, so that trouble is still told properly
    headers = {"content-disposition": 'attachment; filename="commonry-items.csv"'}
    return Stream(_written(db, owner, first), media_type="text/csv; charset=utf-8", headers=headers)


async def _written(db: Database, owner: UUID | None, page: tuple[list[Listed], UUID | None]) -> AsyncIterator[str]:
    owners = owner is None
    yield heading_line(owners=owners)
    listed, after = page
    yield lines(listed, owners=owners)
    while after:
        listed, after = await _page(db, owner, after)
        yield lines(listed, owners=owners)


async def _page(db: Database, owner: UUID | None, after: UUID | None) -> tuple[list[Listed], UUID | None]:
    async with db.read() as tx:
        return await sheets.page(tx, owner, after)


routes = [import_items, export_items]
