"""The community desk, for managers: today, bookings, items, members, money, import and export."""

import asyncio
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Booking, BookingState
from commonry.contracts.inventory import ImportReport, Item, ItemChanges
from commonry.contracts.payments import Entry
from commonry.contracts.users import ManagedChanges, Member
from commonry.kit import clock
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid, Problem
from commonry.web.api import mine
from commonry.web.forms import filled_in
from commonry.web.visit import Visit, inside

PAGE = 50
SOON = timedelta(hours=36)
LARGEST_TABLE = 8 * 2**20


async def _bookings(visit: Visit, **wanted: Any) -> Page[Booking]:
    query = {"all": "true", "limit": PAGE, **wanted}
    return await visit.ask("bookings", "GET", "/api/v1/bookings", Page[Booking], query=query)


@get("/desk", include_in_schema=False)
async def today(visit: Visit) -> Response[str]:
    visit.managing()
    asked: list[dict[str, Any]] = [
        {"disputed": "true", "status": "returned"},
        {"overdue": "true", "status": "in_use"},
        {"at_risk": "true", "status": "confirmed"},
        {"status": "requested"},
        {"status": "confirmed", "limit": 100},
        {"status": "in_use", "limit": 100},
    ]
    disputed, overdue, risky, requests, coming, out = [
        found.data for found in await asyncio.gather(*(_bookings(visit, **one) for one in asked))
    ]
    soon = clock.now() + SOON
    lists = [
        ("Damage to settle", "scale", disputed),
        ("Overdue", "triangle-alert", overdue),
        ("The one before is late", "clock", risky),
        ("Waiting for an owner's answer", "hourglass", requests),
        ("Picked up in the next day and a half", "handshake", _by_start([b for b in coming if b.from_ <= soon])),
        ("Due back in the next day and a half", "undo-2", _by_end([b for b in out if b.to <= soon and not b.overdue])),
    ]
    people = await visit.named(*(p for _, _, bs in lists for b in bs for p in (b.owner_id, b.borrower_id)))
    return await visit.page("desk.html", here="desk", tab="today", lists=lists, people=people)


def _by_start(bookings: list[Booking]) -> list[Booking]:
    return sorted(bookings, key=lambda b: b.from_)


def _by_end(bookings: list[Booking]) -> list[Booking]:
    return sorted(bookings, key=lambda b: b.to)


@get("/desk/bookings", include_in_schema=False)
async def bookings(visit: Visit) -> Response[str]:
    visit.managing()
    params = visit.request.query_params
    status = params.get("status", "")
    found = await _bookings(
        visit, status=status if status in get_args(BookingState) else None, cursor=params.get("cursor")
    )
    people = await visit.named(*(p for b in found.data for p in (b.owner_id, b.borrower_id)))
    return await visit.page(
        "desk-bookings.html",
        here="desk",
        tab="bookings",
        found=found.data,
        people=people,
        chosen=status,
        states=get_args(BookingState),
        more=visit.with_query(cursor=found.next_cursor) if found.next_cursor else None,
    )


@get("/desk/items", include_in_schema=False)
async def items(visit: Visit) -> Response[str]:
    visit.managing()
    params = visit.request.query_params
    q = params.get("q", "").strip()[:200]
    query = {"q": q or None, "sort": "newest", "limit": PAGE, "cursor": params.get("cursor")}
    query |= {"unlisted": "true", "counted": "false"}
    found = await visit.ask("inventory", "GET", "/api/v1/items", Page[Item], query=query)
    return await visit.page(
        "desk-items.html",
        here="desk",
        tab="items",
        found=found.data,
        people=await visit.named(*(i.owner_id for i in found.data)),
        q=q,
        more=visit.with_query(cursor=found.next_cursor) if found.next_cursor else None,
    )


@post("/desk/items/{item_id:uuid}", include_in_schema=False, status_code=303)
async def moderate(visit: Visit, item_id: UUID) -> Response[None]:
    """Take a thing off the list, or put it back."""
    visit.managing()
    form = await filled_in(visit)
    status: Any = "listed" if form.text("do") == "list" else "unlisted"
    await visit.ask("inventory", "PATCH", f"/api/v1/items/{item_id}", Item, ItemChanges(status=status))
    return visit.go(inside(form.text("back"), "/desk/items"), "saved")


@get("/desk/items.csv", include_in_schema=False)
async def all_items(visit: Visit) -> Response[bytes]:
    visit.managing()
    return await mine.table(visit, "all-items.csv", all="true")


@get("/desk/members", include_in_schema=False)
async def members(visit: Visit) -> Response[str]:
    visit.managing()
    params = visit.request.query_params
    query = {"q": params.get("q", "").strip()[:100] or None, "limit": PAGE, "cursor": params.get("cursor")}
    found = await visit.ask("users", "GET", "/api/v1/members", Page[Member], query=query)
    return await visit.page(
        "desk-members.html",
        here="desk",
        tab="members",
        found=found.data,
        q=query["q"] or "",
        trouble=params.get("trouble", "") == "last" and "A community needs at least one manager.",
        more=visit.with_query(cursor=found.next_cursor) if found.next_cursor else None,
    )


CHANGES = {
    "suspend": ManagedChanges(status="suspended"),
    "reinstate": ManagedChanges(status="active"),
    "promote": ManagedChanges(roles=["member", "manager"]),
    "demote": ManagedChanges(roles=["member"]),
}


@post("/desk/members/{member_id:uuid}", include_in_schema=False, status_code=303)
async def manage(visit: Visit, member_id: UUID) -> Response[None]:
    visit.managing()
    form = await filled_in(visit)
    changes = CHANGES.get(form.text("do"))
    if changes is None:
        return visit.go("/desk/members")
    try:
        await visit.ask("users", "PATCH", f"/api/v1/members/{member_id}", Member, changes)
    except Problem as e:
        if e.slug != "last-manager":
            raise
        return visit.go("/desk/members?trouble=last")
    return visit.go("/desk/members", "saved")


@get("/desk/money", include_in_schema=False)
async def money(visit: Visit) -> Response[str]:
    visit.managing()
    query = {"limit": PAGE, "cursor": visit.request.query_params.get("cursor")}
    found = await visit.ask("payments", "GET", "/api/v1/payments/ledger", Page[Entry], query=query)
    return await visit.page(
        "desk-money.html",
        here="desk",
        tab="money",
        found=found.data,
        more=visit.with_query(cursor=found.next_cursor) if found.next_cursor else None,
    )


@get("/desk/import", include_in_schema=False)
async def import_page(visit: Visit) -> Response[str]:
    visit.managing()
    return await visit.page("desk-import.html", here="desk", tab="import", report=None, table="", trouble="")


@post("/desk/import", include_in_schema=False, status_code=200)
async def bring_in(visit: Visit) -> Response[str] | Response[None]:
    """First what would happen, then, with the same table sent again, that it does."""
    visit.managing()
    form = await filled_in(visit)
    table = form.said.get("table", "")
    if form.files:
        table = (await form.files[0].read())[:LARGEST_TABLE].decode("utf-8-sig", "replace")
    told: dict[str, Any] = {"here": "desk", "tab": "import", "report": None, "table": table, "trouble": ""}
    if not table.strip():
        told["trouble"] = "Choose a CSV file, or paste a table."
        return await visit.page("desk-import.html", status=422, **told)
    dry = not form.ticked("really")
    try:
        told["report"] = await visit.ask(
            "inventory", "POST", "/api/v1/items/import", ImportReport, table.encode(), kind="text/csv",
            query={"dry_run": "true" if dry else None}, timeout=60,
        )  # fmt: skip
    except NotValid as e:
        told["trouble"] = e.detail
        return await visit.page("desk-import.html", status=422, **told)
    report: ImportReport = told["report"]
    if not dry and report.applied and not report.errors:
        return visit.go("/lending", "imported")
    return await visit.page("desk-import.html", **told)


routes: list[HTTPRouteHandler] = [today, bookings, items, moderate, all_items, members, manage, money]
routes += [import_page, bring_in]
