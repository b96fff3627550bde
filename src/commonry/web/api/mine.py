"""What concerns oneself: what one borrows, and what one lends and earns."""

from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Booking, Side, Waiting
from commonry.contracts.inventory import Item
from commonry.contracts.payments import StatementLine
from commonry.kit.pages import Page
from commonry.kit.problems import Unavailable
from commonry.web import paper
from commonry.web.rules import deeds
from commonry.web.visit import Visit

MOST = 100


@get("/borrowing", include_in_schema=False)
async def borrowing(visit: Visit) -> Response[str]:
    visit.signed_in()
    found = await _bookings(visit, "borrower")
    people = await visit.named(*(b.owner_id for b in found.data))
    shelves = deeds.shelves(found.data, "borrower")
    more = visit.with_query(cursor=found.next_cursor) if found.next_cursor else None
    return await visit.page("borrowing.html", here="borrowing", shelves=shelves, people=people, more=more)


@get("/lending", include_in_schema=False)
async def lending(visit: Visit) -> Response[str]:
    me = visit.signed_in().id
    found = await _bookings(visit, "owner")
    query = {"owner": str(me), "sort": "newest", "limit": MOST}
    items = await visit.ask("inventory", "GET", "/api/v1/items", Page[Item], query=query)
    people = await visit.named(*(b.borrower_id for b in found.data))
    return await visit.page(
        "lending.html",
        here="lending",
        shelves=deeds.shelves(found.data, "owner"),
        people=people,
        items=items.data,
        earned=await _earned(visit),
        more=visit.with_query(cursor=found.next_cursor) if found.next_cursor else None,
    )


@get("/lending/items.csv", include_in_schema=False)
async def as_table(visit: Visit) -> Response[bytes]:
    visit.signed_in()
    return await table(visit, "items.csv")


async def table(visit: Visit, name: str, **which: str) -> Response[bytes]:
    """Items as a CSV file that imports again."""
    body = await visit.ask("inventory", "GET", "/api/v1/items/export.csv", bytes, query=which, timeout=20)
    return paper.table(body, name)


@get("/waiting", include_in_schema=False)
async def waiting(visit: Visit) -> Response[Waiting]:
    """What the pages' own script shows beside the names of other pages."""
    visit.signed_in()
    found = await visit.ask("bookings", "GET", "/api/v1/bookings/waiting", Waiting)
    return Response(found, headers={"cache-control": "no-store"})


async def _bookings(visit: Visit, role: Side) -> Page[Booking]:
    query = {"role": role, "limit": MOST, "cursor": visit.request.query_params.get("cursor")}
    return await visit.ask("bookings", "GET", "/api/v1/bookings", Page[Booking], query=query)


async def _earned(visit: Visit) -> list[tuple[int, str]]:
    """What loans have brought, by currency: (minor units, currency)."""
    sums: dict[str, int] = {}
    query: dict[str, Any] = {"limit": MOST}
    try:
        while True:
            some = await visit.ask("payments", "GET", "/api/v1/payments/statement", Page[StatementLine], query=query)
            for line in some.data:
                if line.amount > 0 and line.kind == "payout":
                    sums[line.currency] = sums.get(line.currency, 0) + line.amount
            if some.next_cursor is None:
                break
            query["cursor"] = some.next_cursor
    except Unavailable:
        return []
    return [(amount, currency) for currency, amount in sorted(sums.items())]


routes: list[HTTPRouteHandler] = [borrowing, lending, as_table, waiting]
