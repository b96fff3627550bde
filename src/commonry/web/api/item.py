"""An item's page: what it is, when it is free, what it costs for the dates chosen, and whose it is."""

from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Quote, QuoteRequest, Review
from commonry.contracts.inventory import Availability, Item
from commonry.contracts.words import Period
from commonry.kit import clock
from commonry.kit.pages import Page
from commonry.kit.problems import Problem, Unavailable
from commonry.web.rules import dates, months
from commonry.web.rules.dates import Chosen
from commonry.web.visit import Visit, query_of

SHOWN_REVIEWS = 6


@get("/items/{item_id:uuid}", include_in_schema=False)
async def item_page(visit: Visit, item_id: UUID) -> Response[str]:
    item = await visit.ask("inventory", "GET", f"/api/v1/items/{item_id}", Item)
    params = dict(visit.request.query_params)
    chosen, quantity = dates.chosen(params), quantity_of(params.get("quantity", ""), item)
    quote, trouble = await quoted(visit, item, chosen, quantity)
    owner = (await visit.named(item.owner_id)).get(item.owner_id)
    reviews = await _reviews(visit, item)
    authors = await visit.named(*(r.author_id for r in reviews))
    return await visit.page(
        "item.html",
        item=item,
        owner=owner,
        mine=visit.me == item.owner_id,
        reviews=reviews,
        authors=authors,
        chosen=chosen,
        quantity=quantity,
        quote=quote,
        trouble=trouble,
        calendar=await month_of(visit, item, params.get("month", ""), chosen),
        picked=_days(chosen),
        link=_choosing(visit, chosen),
        back=f"/?{query_of(dates.query(chosen))}" if chosen.is_complete else "/",
        checkout=f"/items/{item.id}/borrow?{query_of({**dates.query(chosen), 'quantity': quantity})}",
    )


async def month_of(visit: Visit, item: Item, said: str, chosen: Chosen | None = None) -> months.Month | None:
    """The month that was asked for, or that of the days chosen; None when the calendar does not answer."""
    now = clock.now()
    today = now.astimezone(ZoneInfo(item.time_zone)).date()
    start = said or (f"{chosen.since:%Y-%m}" if chosen and chosen.since else "")
    first = months.first_of(start, today)
    since, until = months.bounds(first, item.time_zone)
    query = {"from": max(since, now).isoformat(), "to": until.isoformat()}
    if max(since, now) >= until:
        return None
    try:
        found = await visit.ask("inventory", "GET", f"/api/v1/items/{item.id}/availability", Availability, query=query)
    except Unavailable:
        return None
    return months.month(first, today, item.time_zone, found.free, today + timedelta(days=item.horizon_days))


async def quoted(visit: Visit, item: Item, chosen: Chosen, quantity: int) -> tuple[Quote | None, str]:
    """The price for the dates, or the sentence that says why there is none."""
    if not chosen.since and not chosen.until:
        return None, ""
    period = dates.period(chosen, item.time_zone)
    if not isinstance(period, Period):
        return None, period
    asked = QuoteRequest(item_id=item.id, from_=period.from_, to=period.to, quantity=quantity)
    try:
        return await visit.ask("bookings", "POST", "/api/v1/bookings/quote", Quote, asked, repeatable=True), ""
    except Problem as e:
        return None, plainly(e)


def plainly(problem: Problem) -> str:
    """A problem's first sentence for people: without the name of the field it is about."""
    errors: list[dict[str, Any]] = problem.extra.get("errors", [])
    if not errors:
        return problem.detail
    said = str(errors[0]["message"])
    return said[:1].upper() + said[1:].rstrip(".") + "."


async def _reviews(visit: Visit, item: Item) -> list[Review]:
    if not item.rating.count:
        return []
    try:
        found = await visit.ask(
            "bookings", "GET", f"/api/v1/members/{item.owner_id}/reviews", Page[Review], query={"limit": 100}
        )
    except Unavailable:
        return []
    return [r for r in found.data if r.item_id == item.id and r.side == "borrower"][:SHOWN_REVIEWS]


def quantity_of(said: str, item: Item) -> int:
    return max(1, min(int(said), item.quantity)) if said.isdecimal() and len(said) < 5 else 1


def _days(chosen: Chosen) -> list[Any]:
    if chosen.since is None:
        return []
    last = chosen.until or chosen.since
    return [chosen.since + timedelta(n) for n in range(max(0, min((last - chosen.since).days, 400)) + 1)]


def _choosing(visit: Visit, chosen: Chosen) -> Any:
    """Where a click on a day leads: the first day, then the last."""

    def link(day: months.Day) -> str:
        ends = chosen.since is not None and chosen.until is None and day.date >= chosen.since
        first = chosen.since.isoformat() if ends and chosen.since else day.date.isoformat()
        last = day.date.isoformat() if ends else None
        return visit.with_query({"from": first, "to": last}, month=f"{day.date:%Y-%m}") + "#borrow"

    return link


routes: list[HTTPRouteHandler] = [item_page]
